import { randomUUID } from 'node:crypto';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const { signal } = new AbortController();
const LOOK_MS = 20;

describe('Looking at a VM', () => {
  it('beside its start neither ends the start nor is wrong about it', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    const other = lab.engine();
    await engine.add(lab.definition, signal);
    const seen = new Set<string>();
    const over = new AbortController();
    const looks = [engine, other].map(async (looking) => {
      while (!over.signal.aborted) {
        const { status, warnings } = await looking.get(lab.vm, signal);
        seen.add(`${status}${warnings.join()}`);
        await delay(LOOK_MS);
      }
    });

    try {
      for (let round = 0; round < 3; round += 1) {
        await engine.start(lab.vm, signal);
        expect((await engine.get(lab.vm, signal)).status).toBe('running');
        expect((await other.get(lab.vm, signal)).status).toBe('running');
        await engine.stop(lab.vm, { force: true }, signal);
      }
    } finally {
      over.abort();
      await Promise.all(looks);
    }

    expect(['running', 'starting', 'stopped']).toEqual(expect.arrayContaining([...seen]));
  });

  it('says that it is being started, in this process and in another', async () => {
    await using lab = await QemuLab.create();
    const other = lab.engine();
    const seen: unknown[] = [];
    const engine = lab.engine({
      onStep: async (step) => {
        if (step === 'launched') {
          for (const looking of [engine, other]) {
            const { status, warnings } = await looking.get(lab.vm, signal);
            seen.push([status, warnings]);
          }
        }
      },
    });
    await engine.add(lab.definition, signal);

    await engine.start(lab.vm, signal);

    expect(seen).toEqual([
      ['starting', []],
      ['starting', []],
    ]);
  });

  it('leaves the monitor to the service that acts', async () => {
    await using lab = await QemuLab.create();
    const before = lab.engine();
    await before.add(lab.definition, signal);
    await before.start(lab.vm, signal);
    await before.close();
    const looking = lab.engine();
    expect((await looking.get(lab.vm, signal)).status).toBe('running');

    const acting = lab.engine();
    await acting.stop(lab.vm, { force: true }, signal);

    expect((await looking.get(lab.vm, signal)).status).toBe('stopped');
  });
});

describe('Two that add at once', () => {
  async function addTwice(lab: QemuLab, more: Partial<VmDefinition>): Promise<void> {
    const second = VmDefinition.parse({ ...lab.definition, ...more });
    const outcomes = await Promise.allSettled([
      lab.engine().add(lab.definition, signal),
      lab.engine().add(second, signal),
    ]);

    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'engine.vm-exists' },
    });
    expect(await lab.engine().list(signal)).toHaveLength(1);
  }

  it('one image: one has it', async () => {
    await using lab = await QemuLab.create();
    await addTwice(lab, { id: randomUUID(), name: 'other' });
  });

  it('one image under two names: one has it', async () => {
    await using lab = await QemuLab.create();
    const disks = [];
    for (const disk of lab.definition.disks) {
      const path = join(lab.folder, `link-to-${disk.name}`);
      await symlink(disk.path, path);
      disks.push({ ...disk, path });
    }
    await addTwice(lab, { id: randomUUID(), name: 'other', disks });
  });

  it('one name: one has it', async () => {
    await using lab = await QemuLab.create();
    await using others = await QemuLab.create();
    await addTwice(lab, { id: randomUUID(), disks: others.definition.disks });
  });

  it('one id: one has it', async () => {
    await using lab = await QemuLab.create();
    await using others = await QemuLab.create();
    await addTwice(lab, { name: 'other', disks: others.definition.disks });
  });
});

describe('A run folder with a comma in its name', () => {
  it('hides no running VM', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine({ runFolder: join(lab.folder, 'run,here') });
    await engine.add(lab.definition, signal);

    await engine.start(lab.vm, signal);
    try {
      expect((await engine.get(lab.vm, signal)).status).toBe('running');
    } finally {
      await engine.destroy(lab.vm, signal);
    }
  });
});
