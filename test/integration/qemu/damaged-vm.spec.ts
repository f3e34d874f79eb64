import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const { signal } = new AbortController();
const job = { jobToken: 'job', crashConsistent: true };

/** Another VM on the same host, with an image of its own. */
function otherVm(lab: QemuLab, name: string): VmDefinition {
  const path = join(lab.folder, `${name}.raw`);
  const sizeBytes = 1024 * 1024;
  execFileSync('qemu-img', ['create', '-q', '-f', 'raw', path, String(sizeBytes)]);
  return VmDefinition.parse({
    id: randomUUID(),
    name,
    memoryMib: 64,
    guestAgent: false,
    disks: [{ id: randomUUID(), name: 'data', path, format: 'raw', sizeBytes }],
  });
}

/** Every action that would need what is known about the VM. */
function actionsOn(engine: QemuEngine, vm: string): (() => Promise<unknown>)[] {
  return [
    async () => engine.start(vm, signal),
    async () => engine.stop(vm, { force: true }, signal),
    async () => engine.freeze(vm, job, signal),
    async () => engine.release(vm, signal),
    async () => engine.destroy(vm, signal),
  ];
}

describe('A VM that cannot be read', () => {
  let lab: QemuLab;
  let engine: QemuEngine;
  let other: VmDefinition;

  beforeEach(async () => {
    lab = await QemuLab.create([{ name: 'data', format: 'raw' }]);
    other = otherVm(lab, 'other');
    const before = lab.engine();
    await before.add(lab.definition, signal);
    await before.add(other, signal);
    await before.close();
    engine = lab.engine();
  });

  afterEach(async () => {
    await engine.destroy(other.id, signal);
    await lab[Symbol.asyncDispose]();
  });

  async function expectOthersAdded(): Promise<void> {
    const third = otherVm(lab, 'third');
    await engine.add(third, signal);
    await engine.release(third.id, signal);
  }

  /** All that a host does with its other VMs. */
  async function expectOthersWork(): Promise<void> {
    await expectOthersAdded();
    await engine.start(other.id, signal);
    const frozen = await engine.freeze(other.id, job, signal);
    await frozen[Symbol.asyncDispose]();
    await engine.stop(other.id, { force: true, wait: true }, signal);
    const { status, unmerged } = await engine.get(other.id, signal);
    expect({ status, unmerged }).toEqual({ status: 'stopped', unmerged: [] });
  }

  const DAMAGES: [string, (lab: QemuLab) => string, 'lab-vm' | 'its id'][] = [
    ['a state file that was cut short', ({ paths }) => cutShort(paths.state), 'lab-vm'],
    ['a state file of another form', ({ paths }) => rewrite(paths.state, '{}'), 'lab-vm'],
    ['no state file', ({ paths }) => remove(paths.state), 'lab-vm'],
    ['a definition that was cut short', ({ paths }) => cutShort(paths.definition), 'its id'],
    ['a definition of another form', ({ paths }) => rewrite(paths.definition, '[]'), 'its id'],
    ['two files of zeros', ({ paths }) => zeros(paths.definition, paths.state), 'its id'],
  ];

  it.each(DAMAGES)('because of %s says so and stops no other', async (_, damage, called) => {
    const damaged = damage(lab);
    const image = readFileSync(lab.image('data'));

    expect((await engine.reconcile(signal)).join()).toContain(damaged);
    const vms = await engine.list(signal);
    expect(vms.map(({ name }) => name).sort()).toEqual(
      [called === 'its id' ? lab.vm : called, 'other'].sort(),
    );
    const seen = vms.find(({ id }) => id === lab.vm);
    expect(seen).toEqual(await engine.get(lab.vm, signal));
    expect(seen).toMatchObject({ status: 'damaged', unmerged: [] });
    expect(seen?.warnings.join()).toContain(damaged);
    for (const action of actionsOn(engine, lab.vm)) {
      await expect(action()).rejects.toMatchObject({ code: 'engine.state-invalid' });
    }
    await expectOthersAdded();
    for (const definition of [lab.definition, { ...lab.definition, id: randomUUID() }]) {
      const isKnown = definition.id === lab.vm || called === 'lab-vm';
      if (isKnown) {
        await expect(engine.add(definition, signal)).rejects.toMatchObject({
          code: 'engine.vm-exists',
        });
      }
    }
    expect(readFileSync(lab.image('data')).equals(image)).toBe(true);
  });

  it('is taken again by its set aside definition, as the note says', async () => {
    const damaged = cutShort(lab.paths.state);
    const { warnings } = await engine.get(lab.vm, signal);
    expect(warnings.join()).toContain(damaged);
    const [, move = ''] = /"(mv [^"]+)"/.exec(warnings.join()) ?? [];

    execFileSync('sh', ['-c', move]);

    expect((await engine.list(signal)).map(({ name }) => name)).toEqual(['other']);
    const kept = readFileSync(join(`${lab.paths.folder}.damaged`, 'definition.json'), 'utf8');
    await engine.add(VmDefinition.parse(JSON.parse(kept)), signal);
    await engine.start(lab.vm, signal);
    expect((await engine.get(lab.vm, signal)).status).toBe('running');
  });

  it('because a newer version wrote its state is unknown, and named', async () => {
    const state = JSON.parse(readFileSync(lab.paths.state, 'utf8')) as object;
    rewrite(lab.paths.state, JSON.stringify({ ...state, version: 99 }));

    expect((await engine.reconcile(signal)).join()).toContain('newer Hyperkeep');
    const vms = await engine.list(signal);
    expect(vms.map(({ name, status }) => [name, status])).toEqual([
      ['lab-vm', 'unknown'],
      ['other', 'stopped'],
    ]);
    expect(vms[0]?.warnings.join()).toContain('newer Hyperkeep');
    await expectOthersWork();
  });

  it('because the system refuses is unknown, with its words', async () => {
    rmSync(lab.paths.state);
    mkdirSync(lab.paths.state);

    expect((await engine.reconcile(signal)).join()).toContain('EISDIR');
    const [seen] = await engine.list(signal);
    expect(seen).toMatchObject({ name: 'lab-vm', status: 'unknown' });
    expect(seen?.warnings.join()).toContain('EISDIR');
    await expectOthersAdded();
  });

  it('is none where something else lies among the folders of VMs', async () => {
    const folder = join(lab.paths.folder, '..');
    mkdirSync(join(folder, 'lost+found'));
    writeFileSync(join(folder, '.DS_Store'), '');
    const file = randomUUID();
    writeFileSync(join(folder, file), '');

    expect((await engine.reconcile(signal)).join()).toContain(file);
    const names = (await engine.list(signal)).map(({ name }) => name);
    expect(names.sort()).toEqual([file, 'lab-vm', 'other'].sort());
    await expectOthersAdded();
  });

  it('is still what a running guest belongs to, once its file is put back', async () => {
    await engine.start(lab.vm, signal);
    const whole = readFileSync(lab.paths.state);
    cutShort(lab.paths.state);
    expect((await engine.get(lab.vm, signal)).status).toBe('damaged');
    const pid = await lab.pid();

    writeFileSync(lab.paths.state, whole);

    expect((await engine.get(lab.vm, signal)).status).toBe('running');
    expect(await lab.pid()).toBe(pid);
  });
});

function cutShort(path: string): string {
  const text = readFileSync(path, 'utf8');
  return rewrite(path, text.slice(0, text.length / 2));
}

function rewrite(path: string, text: string): string {
  writeFileSync(path, text);
  return path;
}

function remove(path: string): string {
  rmSync(path);
  return path;
}

function zeros(...paths: readonly string[]): string {
  paths.forEach((path) => {
    writeFileSync(path, Buffer.alloc(100));
  });
  return paths.at(-1) ?? '';
}
