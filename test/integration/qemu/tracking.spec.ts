import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { TrackingState } from '../../../src/disk/change-set.ts';
import type { FrozenDisk } from '../../../src/engines/engine.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { contentOf, diskOf, rebuilt } from '../../support/guest/frozen-disk.ts';
import { QemuLab, type LabDisk } from '../../support/guest/qemu-lab.ts';
import { Draw } from '../../support/draw.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const { signal } = new AbortController();
const job = (jobToken = 'job') => ({ jobToken, crashConsistent: true });

describe('Tracking', () => {
  /** A run draws a life of 8 cycles. One of 20: `npm run soak -- drawn tracking`. */
  const draw = new Draw('tracking');
  const cycles = draw.count(8, 20);

  it(`agrees with a model over ${String(cycles)} cycles of random writes, zeroes and growth`, async () => {
    const random = draw.number;
    const disks: readonly LabDisk[] = [
      { name: 'system', format: 'qcow2', sizeBytes: 2 * MiB },
      { name: 'data', format: 'raw', sizeBytes: 2 * MiB },
    ];
    await using lab = await QemuLab.create(disks);
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    const models = new Map(disks.map(({ name }) => [name, new MemoryDisk(2 * MiB)]));
    const history: { name: string; state: TrackingState; content: Buffer }[] = [];
    const transactions: number[] = [];
    let comparisons = 0;
    /** What a guest does between two freezes; the model follows. */
    const write = async (name: string) => {
      let model = models.get(name) ?? new MemoryDisk(0);
      if (random(10) === 0 && model.size < 8 * MiB) {
        const grown = new MemoryDisk(model.size + 64 * KiB * (1 + random(16)));
        grown.write(0, model.toBytes());
        model = grown;
        models.set(name, model);
        await lab.grow(name, model.size);
      }
      for (let count = random(6); count > 0; count -= 1) {
        // Sectors, subclusters and clusters are all cut across.
        const length = 512 * (1 + random(random(3) === 0 ? 1024 : 16));
        const range = { offset: 512 * random((model.size - length) / 512), length };
        const byte = random(3) === 0 ? 0 : 1 + random(255);
        model.write(range.offset, new Uint8Array(length).fill(byte));
        await (byte === 0 ? lab.discard(name, range) : lab.fill(name, range, byte));
      }
    };
    /** Simulates vaults with different rhythms: the newest state, and any older one. */
    const compare = async (disk: FrozenDisk) => {
      const content = await contentOf(disk);
      expect(content.equals(models.get(disk.name)?.toBytes() ?? Buffer.alloc(0))).toBe(true);
      const older = history.filter(({ name }) => name === disk.name);
      for (const since of [older.at(-1), older[random(Math.max(1, older.length))]]) {
        if (since !== undefined) {
          const again = await rebuilt(disk, since.state, since.content);
          expect(again.equals(content)).toBe(true);
          comparisons += 1;
        }
      }
      history.push({ name: disk.name, state: disk.tracking, content });
    };
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      for (const { name } of disks) {
        await write(name);
      }
      const frozen = await engine.freeze(lab.vm, job(), signal);
      transactions.push(frozen.transactionMs);
      for (const disk of frozen.disks) {
        await compare(disk);
      }
      await frozen[Symbol.asyncDispose]();
    }
    expect(comparisons).toBe(4 * (cycles - 1));
    const nodes = await lab.qmp(async (qmp) =>
      qmp.execute('query-named-block-nodes', { flat: true }, signal),
    );
    expect(nodes).toHaveLength(8);
    expect(readdirSync(lab.folder).filter((name) => name.includes('.hk-'))).toHaveLength(2);
    transactions.sort((a, b) => a - b);
    console.log(
      `transaction over two disks: median ${String(transactions[cycles / 2]?.toFixed(2))} ms, ` +
        `worst ${String(transactions.at(-1)?.toFixed(2))} ms`,
    );
    // Ten times what it takes: waiting for a core makes it longer, and nothing makes it shorter.
    expect(transactions[cycles / 4]).toBeLessThanOrEqual(100);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    for (const { name, path, format } of lab.definition.disks) {
      expect(await lab.content(path, format)).toEqual(
        Buffer.from(models.get(name)?.toBytes() ?? []),
      );
    }
    for (const { path, format } of lab.definition.disks.filter((disk) => disk.format === 'qcow2')) {
      execFileSync('qemu-img', ['check', '-q', '-f', format, path]);
    }
  });

  it('keeps 24 disks apart, running and off', async () => {
    const disks = Array.from({ length: 24 }, (_, index): LabDisk => {
      const format = index % 2 === 0 ? 'qcow2' : 'raw';
      return { name: `disk${String(index)}`, format, sizeBytes: MiB };
    });
    await using lab = await QemuLab.create(disks);
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    const written = { offset: 4 * KiB, length: 8 * KiB };
    for (const [index, { name }] of disks.entries()) {
      await lab.fill(name, written, index + 1);
    }
    const check = async (bytes: readonly number[]) => {
      await using frozen = await engine.freeze(lab.vm, job(), signal);
      expect(frozen.disks.map(({ name }) => name)).toEqual(disks.map(({ name }) => name));
      for (const [index, disk] of frozen.disks.entries()) {
        const content = Buffer.alloc(disk.sizeBytes);
        content.fill(bytes[index] ?? 0, written.offset, written.offset + written.length);
        expect((await contentOf(disk)).equals(content)).toBe(true);
      }
    };
    const bytes = disks.map((_, index) => index + 1);
    await check(bytes);
    await lab.fill('disk11', written, 200);
    await engine.stop(lab.vm, { force: true }, signal);
    await check(bytes.with(11, 200));
  });

  it.each(['touched', 'written to', 'replaced'])(
    'starts anew for a disk that was %s while the VM was off, and for no other',
    async (how) => {
      await using lab = await QemuLab.create();
      const engine = lab.engine();
      await engine.add(lab.definition, signal);
      await engine.start(lab.vm, signal);
      await lab.fill('data', { offset: 0, length: MiB }, 1);
      const first = await engine.freeze(lab.vm, job(), signal);
      await first[Symbol.asyncDispose]();
      await engine.stop(lab.vm, { force: true, wait: true }, signal);
      const path = lab.definition.disks[1]?.path ?? '';
      if (how === 'touched') {
        utimesSync(path, 1, 1);
      } else if (how === 'written to') {
        execFileSync('qemu-io', ['-f', 'raw', '-c', 'write -P 9 0 4k', path], { stdio: 'ignore' });
      } else {
        execFileSync('cp', ['--preserve=timestamps', path, `${path}.copy`]);
        execFileSync('mv', [`${path}.copy`, path]);
      }

      await engine.start(lab.vm, signal);

      expect((await engine.get(lab.vm, signal)).warnings.join()).toContain('disk data was changed');
      const second = await engine.freeze(lab.vm, job(), signal);
      expect(second.warnings.join()).toContain('disk data was changed outside');
      expect(await diskOf(second, 'data').changedSince(diskOf(first, 'data').tracking)).toEqual({
        method: 'full',
        reason: 'tracking-replaced',
      });
      const other = await diskOf(second, 'system').changedSince(diskOf(first, 'system').tracking);
      expect(other.method).toBe('changed-extents');
      await second[Symbol.asyncDispose]();
      expect((await engine.get(lab.vm, signal)).warnings).toEqual([]);
    },
  );

  it('asks for a full read when a record of the change log is lost or damaged', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    const states: TrackingState[] = [];
    for (let round = 0; round < 3; round += 1) {
      await lab.fill('data', { offset: round * MiB, length: MiB }, 1);
      const frozen = await engine.freeze(lab.vm, job(), signal);
      states.push(diskOf(frozen, 'data').tracking);
      await frozen[Symbol.asyncDispose]();
    }
    const folder = join(lab.paths.changes, lab.definition.disks[1]?.id ?? '');
    appendFileSync(join(folder, '2.changes'), 'x');

    await using last = await engine.freeze(lab.vm, job(), signal);

    const disk = diskOf(last, 'data');
    expect(await disk.changedSince(states[0])).toEqual({
      method: 'full',
      reason: 'change-log-gap',
    });
    expect(await disk.changedSince(states[1])).toMatchObject({ method: 'changed-extents' });
  });

  it('keeps the records that are needed and no more', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    const id = lab.definition.disks[1]?.id ?? '';
    for (let round = 0; round < 4; round += 1) {
      const frozen = await engine.freeze(
        lab.vm,
        { ...job(), neededGenerations: { [id]: round - 1 } },
        signal,
      );
      await frozen[Symbol.asyncDispose]();
    }

    expect(readdirSync(join(lab.paths.changes, id)).sort()).toEqual(['3.changes', '4.changes']);
  });
});

describe('QemuEngine', () => {
  it('does not let a job that was given up touch the VM', async () => {
    await using lab = await QemuLab.create();
    const old = lab.engine();
    await old.add(lab.definition, signal);
    await old.start(lab.vm, signal);
    const zombie = await old.freeze(lab.vm, job('zombie'), signal);
    await old.close();
    const engine = lab.engine();
    await engine.reconcile(signal);
    await using frozen = await engine.freeze(lab.vm, job('next'), signal);

    await expect(contentOf(diskOf(zombie, 'data'))).rejects.toMatchObject({
      code: 'engine.hold-lost',
    });
    await zombie[Symbol.asyncDispose]();

    expect(JSON.parse(readFileSync(lab.paths.state, 'utf8'))).toMatchObject({ holder: 'next' });
    expect((await contentOf(diskOf(frozen, 'data'))).length).toBe(8 * MiB);
  });

  it('is crash-consistent when the agent that should be there is not', async () => {
    await using lab = await QemuLab.create(undefined, { guestAgent: true });
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);

    await using frozen = await engine.freeze(lab.vm, { jobToken: 'job' }, signal);

    expect(frozen.consistency).toBe('crash');
    expect(frozen.consistencyReason).toContain('no guest agent is running');
  });

  it('begins no freeze without room, and leaves everything as it was', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine({ limits: { freeBytesMin: Number.MAX_SAFE_INTEGER } });
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);

    await expect(engine.freeze(lab.vm, job(), signal)).rejects.toMatchObject({
      code: 'host.disk-full',
    });

    expect(readdirSync(lab.folder).filter((name) => name.includes('.hk-'))).toEqual([]);
  });

  it('gives up the backup, not the VM, when the guest writes more than the limit', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine({ limits: { freeBytesMin: 0, overlayBytesMax: MiB } });
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    const frozen = await engine.freeze(lab.vm, job(), signal);
    await contentOf(diskOf(frozen, 'data'));

    await lab.fill('data', { offset: 0, length: 4 * MiB }, 5);

    await expect(contentOf(diskOf(frozen, 'data'))).rejects.toMatchObject({
      code: 'engine.overlay-full',
    });
    await frozen[Symbol.asyncDispose]();
    expect((await engine.get(lab.vm, signal)).status).toBe('running');
    await using next = await engine.freeze(lab.vm, job(), signal);
    expect((await contentOf(diskOf(next, 'data')))[4 * MiB - 1]).toBe(5);
  });

  it.each(['overlays-added', 'pivoted', 'frozen-saved', 'changes-logged'] as const)(
    'hears that the guest wrote more than the limit at the step %s',
    async (when) => {
      await using lab = await QemuLab.create();
      const engine = lab.engine({
        limits: { freeBytesMin: 0, overlayBytesMax: MiB },
        onStep: async (step) => {
          if (step === when) {
            await lab.fill('data', { offset: 0, length: 4 * MiB }, 5);
          }
        },
      });
      await engine.add(lab.definition, signal);
      await engine.start(lab.vm, signal);

      await using frozen = await engine.freeze(lab.vm, job(), signal);
      if (when === 'overlays-added') {
        // What is written before the pivot is in the frozen layer, which has no limit.
        expect((await contentOf(diskOf(frozen, 'data')))[0]).toBe(5);
      } else {
        await expect(contentOf(diskOf(frozen, 'data'))).rejects.toMatchObject({
          code: 'engine.overlay-full',
        });
      }
    },
  );

  it('watches the overlays of a VM that is started while it is being read', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine({ limits: { freeBytesMin: 0, overlayBytesMax: MiB } });
    await engine.add(lab.definition, signal);
    await using frozen = await engine.freeze(lab.vm, job(), signal);
    await engine.start(lab.vm, signal);
    await contentOf(diskOf(frozen, 'data'));

    await lab.fill('data', { offset: 0, length: 4 * MiB }, 5);

    await expect(contentOf(diskOf(frozen, 'data'))).rejects.toMatchObject({
      code: 'engine.overlay-full',
    });
  });

  it('makes no disk shorter that is resized while its freeze is prepared', async () => {
    await using lab = await QemuLab.create();
    let isToGrow = true;
    const engine = lab.engine({
      onStep: async (step) => {
        if (step === 'announced' && isToGrow) {
          isToGrow = false;
          await lab.grow('data', 12 * MiB);
          await lab.fill('data', { offset: 10 * MiB, length: MiB }, 7);
        }
      },
    });
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);

    await expect(engine.freeze(lab.vm, job(), signal)).rejects.toMatchObject({
      code: 'engine.refused',
    });

    await using frozen = await engine.freeze(lab.vm, job(), signal);
    expect(diskOf(frozen, 'data').sizeBytes).toBe(12 * MiB);
    expect((await contentOf(diskOf(frozen, 'data')))[10 * MiB]).toBe(7);
  });

  it('keeps no layer from being merged when a freeze fails after it opened the disks', async () => {
    await using lab = await QemuLab.create();
    let isToFail = true;
    const engine = lab.engine({
      onStep: (step) => {
        if (step === 'changes-logged' && isToFail) {
          isToFail = false;
          throw new Error('the step fails');
        }
      },
    });
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);

    await expect(engine.freeze(lab.vm, job(), signal)).rejects.toThrow('the step fails');

    const frozen = await engine.freeze(lab.vm, job(), signal);
    await frozen[Symbol.asyncDispose]();
    const layers = readdirSync(lab.folder).filter((name) => name.includes('.hk-'));
    expect(layers).toHaveLength(frozen.disks.length);
  });

  it('leaves alone a file that lies where an overlay would go', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    const inTheWay = `${lab.definition.disks[1]?.path ?? ''}.hk-1.qcow2`;
    writeFileSync(inTheWay, 'precious');

    await using frozen = await engine.freeze(lab.vm, job(), signal);
    expect(frozen.disks).toHaveLength(2);
    expect(readFileSync(inTheWay, 'utf8')).toBe('precious');
  });

  it('leaves alone a file that is put there while it plans', async () => {
    await using lab = await QemuLab.create();
    const inTheWay = `${lab.definition.disks[1]?.path ?? ''}.hk-1.qcow2`;
    let isFirst = true;
    const engine = lab.engine({
      onStep: (step) => {
        if (step === 'overlays-planned' && isFirst) {
          isFirst = false;
          writeFileSync(inTheWay, 'precious');
        }
      },
    });
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);

    await expect(engine.freeze(lab.vm, job(), signal)).rejects.toMatchObject({ system: 'EEXIST' });
    await using frozen = await engine.freeze(lab.vm, job(), signal);

    expect(frozen.disks).toHaveLength(2);
    expect(readFileSync(inTheWay, 'utf8')).toBe('precious');
  });

  it('takes the variable store of the firmware at the same instant', async () => {
    await using lab = await QemuLab.create();
    const nvramPath = join(lab.folder, 'nvram.qcow2');
    const template = '/usr/share/OVMF/OVMF_VARS_4M.fd';
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', template, nvramPath]);
    const definition = VmDefinition.parse({
      ...lab.definition,
      memoryMib: 128,
      firmware: { kind: 'uefi', codePath: '/usr/share/OVMF/OVMF_CODE_4M.fd', nvramPath },
    });
    const engine = lab.engine();
    await engine.add(definition, signal);
    await engine.start(lab.vm, signal);

    for (let round = 0; round < 2; round += 1) {
      const frozen = await engine.freeze(lab.vm, job(), signal);
      const copy = join(lab.folder, 'copy.qcow2');
      writeFileSync(copy, frozen.nvram ?? '');
      const facts = execFileSync('qemu-img', ['info', '--output=json', '-f', 'qcow2', copy]);
      expect(JSON.parse(facts.toString())).toMatchObject({ 'virtual-size': 540_672 });
      expect(facts.toString()).not.toContain('backing');
      await frozen[Symbol.asyncDispose]();
    }
    expect(readdirSync(lab.folder).filter((name) => name.includes('nvram.qcow2.hk-'))).toHaveLength(
      1,
    );
    await engine.destroy(lab.vm, signal);
    expect(existsSync(nvramPath)).toBe(false);
  });

  it('refuses images that are more, or other, than one plain file', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    const path = join(lab.folder, 'odd.qcow2');
    const base = lab.definition.disks[0];
    const add = async (disk: object) => {
      const disks = [{ ...base, path, ...disk }];
      return engine.add(VmDefinition.parse({ ...lab.definition, disks }), signal);
    };

    await expect(add({})).rejects.toMatchObject({ code: 'engine.image-missing' });
    execFileSync('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-b',
      base?.path ?? '',
      '-F',
      'qcow2',
      path,
    ]);
    await expect(add({})).rejects.toMatchObject({ code: 'engine.image-refused' });
    execFileSync('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-o',
      `data_file=${path}.raw`,
      path,
      '8M',
    ]);
    await expect(add({})).rejects.toThrow('its data is in another file');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '9M']);
    await expect(add({})).rejects.toMatchObject({ code: 'vm.disk-size-differs' });
    writeFileSync(path, 'not an image at all'.repeat(100));
    await expect(add({})).rejects.toThrow('it is not a qcow2 image');
    await expect(add({ path: '/dev/null' })).rejects.toThrow('not a regular file');
    await expect(
      lab.engine({ runFolder: `/tmp/${'x'.repeat(80)}` }).add(lab.definition, signal),
    ).rejects.toMatchObject({ code: 'engine.path-too-long' });
    expect(await engine.list(signal)).toEqual([]);
  });

  it('says what QEMU says when it does not start', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(VmDefinition.parse({ ...lab.definition, cpuModel: 'no-such-cpu' }), signal);

    await expect(engine.start(lab.vm, signal)).rejects.toMatchObject({
      code: 'engine.start-failed',
      message: expect.stringContaining('no-such-cpu') as string,
    });

    expect((await engine.get(lab.vm, signal)).status).toBe('stopped');
  });
});
