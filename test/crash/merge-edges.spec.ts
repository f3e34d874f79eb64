import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Extent } from '../../src/disk/extent.ts';
import type { FrozenVm } from '../../src/engines/engine.ts';
import type { Step } from '../../src/engines/qemu/vms/engine-parts.ts';
import type { QemuEngine } from '../../src/engines/qemu/qemu-engine.ts';
import { systemCode } from '../../src/kernel/fault.ts';
import { VmDefinition } from '../../src/vm/definition.ts';
import { Draw } from '../support/draw.ts';
import { runService } from '../support/guest/engine-service.ts';
import { contentOf, diskOf, isChanged, rebuilt } from '../support/guest/frozen-disk.ts';
import { LoopMount } from '../support/guest/loop-mount.ts';
import { QemuLab } from '../support/guest/qemu-lab.ts';
import { OVMF } from '../support/guest/uefi-guest.ts';

/**
 * A run draws 1 of 4 disks without room, 1 of 2 exchanges and 2 of 4 changes: each with a
 * probability of at least 1 in 4, so within 17 runs with 99 %. All: `npm run soak -- drawn`.
 */
const draw = new Draw('merge edges');
const KiB = 1024;
const MiB = 1024 * KiB;
const { signal } = new AbortController();
const job = (jobToken = 'job') => ({ jobToken, crashConsistent: true });
const FORMATS = ['qcow2', 'raw'] as const;

/** A VM with one disk that was backed up and ran on; what the disk held then and holds now. */
interface Story {
  readonly first: FrozenVm;
  readonly then: Buffer;
  readonly now: Buffer;
}

const A = { offset: 1 * MiB, length: 64 * KiB };
/** More than the room that is left. */
const LARGE = { offset: 2 * MiB, length: 4 * MiB };
const ROOM_BYTES = 1 * MiB;

async function ranOn(lab: QemuLab, engine: QemuEngine): Promise<Story> {
  await engine.add(lab.definition, signal);
  await engine.start(lab.vm, signal);
  const then = Buffer.alloc(8 * MiB);
  await fill(lab, then, A, 1);
  const first = await engine.freeze(lab.vm, job('first'), signal);
  await first[Symbol.asyncDispose]();
  const now = Buffer.from(then);
  await fill(lab, now, LARGE, 2);
  return { first, then, now };
}

async function fill(lab: QemuLab, content: Buffer, range: Extent, byte: number): Promise<void> {
  content.fill(byte, range.offset, range.offset + range.length);
  await lab.fill('system', range, byte);
}

/**
 * Expects that a full read, and an increment on the first frozen state, give what the disk holds
 * now.
 */
async function expectTold(engine: QemuEngine, lab: QemuLab, { first, then, now }: Story) {
  await using next = await engine.freeze(lab.vm, job('next'), signal);
  const disk = diskOf(next, 'system');
  const { tracking } = diskOf(first, 'system');
  expect((await contentOf(disk)).equals(now)).toBe(true);
  expect((await rebuilt(disk, tracking, then)).equals(now)).toBe(true);
  expect(await isChanged(disk, tracking, A.offset)).toBe(false);
}

/**
 * Expects that the command shown copies what the guest had, with COPY.qcow2 in the folder of the
 * lab.
 */
async function expectCopied(engine: QemuEngine, lab: QemuLab, now: Buffer): Promise<void> {
  const [disk] = (await engine.get(lab.vm, signal)).unmerged;
  execFileSync('sh', ['-c', disk?.copyCommand ?? 'false'], { cwd: lab.folder });
  const copy = join(lab.folder, 'COPY.qcow2');
  expect((await lab.content(copy)).equals(now)).toBe(true);
  rmSync(copy);
}

async function expectPlain(engine: QemuEngine, lab: QemuLab, now: Buffer): Promise<void> {
  expect((await engine.get(lab.vm, signal)).unmerged).toEqual([]);
  const image = lab.image('system');
  const beside = readdirSync(dirname(image)).filter((name) => name.startsWith(basename(image)));
  expect(beside).toEqual([basename(image)]);
  expect((await lab.content(image)).equals(now)).toBe(true);
}

function takeRoom(folder: string): string {
  const ballast = join(folder, 'ballast');
  const file = openSync(ballast, 'w');
  const piece = Buffer.alloc(256 * KiB, 1);
  try {
    for (;;) {
      writeSync(file, piece);
      fsyncSync(file);
    }
  } catch (error) {
    expect(systemCode(error)).toBe('ENOSPC');
  }
  ftruncateSync(file, fstatSync(file).size - ROOM_BYTES);
  fsyncSync(file);
  closeSync(file);
  return ballast;
}

describe('The merge of a stopped VM without room for all of it', () => {
  const mount = LoopMount.make();
  const ifMounted = typeof mount === 'string' ? it.skip : it;

  afterAll(() => {
    if (typeof mount !== 'string') {
      mount[Symbol.dispose]();
    }
  });

  const CASES = FORMATS.flatMap((format) =>
    (['starts from the chain', 'is merged when there is room'] as const).map(
      (then) => [format, then] as const,
    ),
  );

  ifMounted.each(draw.some(CASES, 1))('leaves a %s disk whole that %s', async (format, next) => {
    const place = typeof mount === 'string' ? '' : mount.path;
    await using lab = await QemuLab.create([{ name: 'system', format, place }]);
    const image = lab.image('system');
    let ballast = '';
    let taken = 0;
    const engine = lab.engine({
      onStep: (step) => {
        // The check found room; now somebody else takes it.
        if (step === 'stopped-merge-launched' && ballast === '') {
          taken = statSync(image).blocks;
          ballast = takeRoom(place);
        }
      },
    });
    const story = await ranOn(lab, engine);

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    // The merge got as far as the room allowed.
    expect(statSync(image).blocks).toBeGreaterThan(taken);
    const { unmerged, status } = await engine.get(lab.vm, signal);
    expect(status).toBe('stopped');
    expect(unmerged.map(({ name, files }) => [name, files.length])).toEqual([['system', 2]]);
    // The merge may have been repeated since.
    expect(unmerged[0]?.why).toMatch(/No space left on device|lacks .* of room/);
    await expectCopied(engine, lab, story.now);
    rmSync(ballast);
    if (next === 'is merged when there is room') {
      await engine.stop(lab.vm, { force: true, wait: true }, signal);
      await expectPlain(engine, lab, story.now);
    }
    await engine.start(lab.vm, signal);
    await expectTold(engine, lab, story);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    await expectPlain(engine, lab, story.now);
    await engine.destroy(lab.vm, signal);
  });
});

const CHANGES = [
  [
    'raw',
    'cut short',
    (image: string) => {
      truncateSync(image, 4 * MiB);
    },
  ],
  [
    'raw',
    'made longer',
    (image: string) => {
      truncateSync(image, 9 * MiB);
    },
  ],
  [
    'qcow2',
    'given a snapshot',
    (image: string) => {
      qemuImg('snapshot', '-c', 'x', image);
    },
  ],
  [
    'qcow2',
    'written over by another image',
    (image: string) => {
      const other = `${image}.other`;
      qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=128k', other, '8M');
      copyFileSync(other, image);
      rmSync(other);
    },
  ],
] as const;

describe('An image that is exchanged while layers are merged into it', () => {
  const STOPPED: readonly Step[] = ['stopped-merge-started', 'stopped-merge-committed'];

  it.each(draw.some(STOPPED, 1))('costs no layer of a stopped VM at %s', async (exchangeAt) => {
    await using lab = await QemuLab.create([{ name: 'system', format: 'raw' }]);
    const image = lab.image('system');
    const older = join(lab.folder, 'older.raw');
    const engine = lab.engine({
      onStep: (step) => {
        if (step === 'stopped-merge-announced') {
          copyFileSync(image, older);
        }
        if (step === exchangeAt) {
          renameSync(older, image);
        }
      },
    });
    const { now } = await ranOn(lab, engine);

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    const { unmerged } = await engine.get(lab.vm, signal);
    expect(unmerged[0]?.files).toHaveLength(2);
    await expect(engine.start(lab.vm, signal)).rejects.toMatchObject({
      code: 'engine.base-replaced',
    });
    await engine.accept(lab.vm, { keep: 'chain', dryRun: false }, signal);
    await expectCopied(engine, lab, now);
  });

  it('costs no layer of a running VM', async () => {
    await using lab = await QemuLab.create([{ name: 'system', format: 'raw' }]);
    const image = lab.image('system');
    const older = join(lab.folder, 'older.raw');
    const engine = lab.engine({
      onStep: (step) => {
        if (step === 'merge-announced') {
          copyFileSync(image, older);
        }
        if (step === 'merge-committed') {
          renameSync(older, image);
        }
      },
    });
    const { now } = await ranOn(lab, engine);
    const second = await engine.freeze(lab.vm, job('second'), signal);
    await second[Symbol.asyncDispose]();
    expect((await engine.get(lab.vm, signal)).status).toBe('not-ours');
    await lab.killQemu();

    await expect(engine.start(lab.vm, signal)).rejects.toMatchObject({
      code: 'engine.base-replaced',
    });
    await engine.accept(lab.vm, { keep: 'chain', dryRun: false }, signal);
    await using last = await engine.freeze(lab.vm, job('last'), signal);
    expect((await contentOf(diskOf(last, 'system'))).equals(now)).toBe(true);
  });

  it.each(draw.some(CHANGES, 2))(
    'is asked about when a %s one was %s after the merge was cut off',
    async (format, _, change) => {
      await using lab = await QemuLab.create([{ name: 'system', format }]);
      const before = lab.engine();
      await ranOn(lab, before);
      await before.close();
      const said = await runService(lab, {
        action: 'stop',
        killAt: 'stopped-merge-started',
        kill: ['qemu', 'service'],
      });
      expect(said).toContain('reached stopped-merge-started');
      change(lab.image('system'));

      const engine = lab.engine();
      await engine.reconcile(signal);

      await expect(engine.start(lab.vm, signal)).rejects.toMatchObject({
        code: 'engine.base-replaced',
      });
    },
  );
});

describe('The variable store of a VM that boots by UEFI', () => {
  it('is merged, and goes on, through stop and start', async () => {
    await using lab = await QemuLab.create([{ name: 'system', format: 'raw' }]);
    const nvramPath = join(lab.folder, 'nvram.qcow2');
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', OVMF.variables, nvramPath);
    const engine = lab.engine();
    const firmware = { kind: 'uefi', codePath: OVMF.code, nvramPath };
    await engine.add(VmDefinition.parse({ ...lab.definition, memoryMib: 128, firmware }), signal);
    await engine.start(lab.vm, signal);
    const first = await engine.freeze(lab.vm, job(), signal);
    await first[Symbol.asyncDispose]();
    await writeVariable(lab, 1);
    const second = await engine.freeze(lab.vm, job(), signal);
    await second[Symbol.asyncDispose]();
    await writeVariable(lab, 2);
    const layers = () => readdirSync(lab.folder).filter((name) => name.startsWith('nvram'));
    expect(layers().length).toBeGreaterThan(1);

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    expect((await engine.get(lab.vm, signal)).unmerged).toEqual([]);
    expect(layers()).toEqual(['nvram.qcow2']);
    expect(await variable(lab, nvramPath)).toEqual(Buffer.alloc(VARIABLE.length, 2));
    await engine.start(lab.vm, signal);
    await writeVariable(lab, 3, VARIABLE.offset + VARIABLE.length);
    await using third = await engine.freeze(lab.vm, job(), signal);
    const copy = join(lab.folder, 'copy.qcow2');
    execFileSync('sh', ['-c', `cat > ${copy}`], { input: third.nvram });
    expect(await variable(lab, copy)).toEqual(Buffer.alloc(VARIABLE.length, 2));
    await third[Symbol.asyncDispose]();
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    expect(layers()).toEqual(['nvram.qcow2']);
    expect(await variable(lab, nvramPath)).toEqual(Buffer.alloc(VARIABLE.length, 2));
  });
});

/** At the end of the store, where the firmware writes only to tidy it up. */
const VARIABLE = { offset: 520 * KiB, length: 4 * KiB };

/** As the flash device of the machine writes it. */
async function writeVariable(lab: QemuLab, byte: number, offset = VARIABLE.offset): Promise<void> {
  const write = `write -P ${String(byte)} ${String(offset)} ${String(VARIABLE.length)}`;
  for (const command of [write, 'flush']) {
    const said = await lab.qmp(async (qmp) =>
      qmp.execute(
        'human-monitor-command',
        { 'command-line': `qemu-io -d /machine/system.flash1 "${command}"` },
        signal,
      ),
    );
    expect(said).not.toMatch(/rror|failed/);
  }
}

async function variable(lab: QemuLab, path: string): Promise<Buffer> {
  const content = await lab.content(path);
  return content.subarray(VARIABLE.offset, VARIABLE.offset + VARIABLE.length);
}

function qemuImg(...parameters: readonly string[]): void {
  execFileSync('qemu-img', parameters, { stdio: 'ignore' });
}
