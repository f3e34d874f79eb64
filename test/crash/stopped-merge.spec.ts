import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { FrozenVm, UnmergedDisk } from '../../src/engines/engine.ts';
import type { Step } from '../../src/engines/qemu/vms/engine-parts.ts';
import type { QemuEngine } from '../../src/engines/qemu/qemu-engine.ts';
import { Draw } from '../support/draw.ts';
import { runService, type Victims } from '../support/guest/engine-service.ts';
import { contentOf, diskOf, isChanged, rebuilt } from '../support/guest/frozen-disk.ts';
import { QemuLab, type LabDisk } from '../support/guest/qemu-lab.ts';

/**
 * A run draws 2 of 16 deaths and 2 of 8 steps at which a start comes: each with a probability of at
 * least 1 in 8, so within 35 runs with 99 %. All: `npm run soak -- drawn`.
 */
const draw = new Draw('stopped merges');
/** Exit code of `qemu-img check`: a killed QEMU leaves unused clusters, but no damage. */
const QCOW2_LEAKS_ONLY = 3;
const KiB = 1024;
const MiB = 1024 * KiB;
const { signal } = new AbortController();
const job = (jobToken = 'job') => ({ jobToken, crashConsistent: true });

const DISKS: readonly LabDisk[] = [
  { name: 'system', format: 'qcow2' },
  { name: 'data', format: 'raw' },
];
const A = { offset: 1 * MiB, length: 64 * KiB };
const B = { offset: 3 * MiB, length: 60 * KiB };
const C = { offset: 5 * MiB, length: 4 * KiB };

/** The model of a guest: what each disk holds, and how to write to it. */
class Guest {
  readonly contents = new Map(DISKS.map(({ name }) => [name, Buffer.alloc(8 * MiB)]));
  private readonly lab: QemuLab;

  constructor(lab: QemuLab) {
    this.lab = lab;
  }

  async fill(range: typeof A, byte: number): Promise<void> {
    for (const [name, content] of this.contents) {
      content.fill(byte, range.offset, range.offset + range.length);
      await (byte === 0 ? this.lab.discard(name, range) : this.lab.fill(name, range, byte));
    }
  }

  of(name: string): Buffer {
    return this.contents.get(name) ?? Buffer.alloc(0);
  }
}

/** A VM that was backed up once, ran on, and has on its disks what `guest` says. Runs. */
async function ranOn(lab: QemuLab, engine: QemuEngine) {
  const guest = new Guest(lab);
  await engine.add(lab.definition, signal);
  await engine.start(lab.vm, signal);
  await guest.fill(A, 1);
  await guest.fill(C, 4);
  const first = await engine.freeze(lab.vm, job('first'), signal);
  const before = new Map(DISKS.map(({ name }) => [name, Buffer.from(guest.of(name))]));
  await first[Symbol.asyncDispose]();
  await guest.fill(B, 2);
  await guest.fill(C, 0);
  return { guest, first, before };
}

/** Expects that a full read, and an increment on an older state, give what the guest had. */
async function expectTold(
  frozen: FrozenVm,
  guest: Guest,
  first: FrozenVm,
  before: ReadonlyMap<string, Buffer>,
): Promise<void> {
  for (const { name } of DISKS) {
    const disk = diskOf(frozen, name);
    const { tracking } = diskOf(first, name);
    expect((await contentOf(disk)).equals(guest.of(name))).toBe(true);
    const again = await rebuilt(disk, tracking, before.get(name) ?? Buffer.alloc(0));
    expect(again.equals(guest.of(name))).toBe(true);
    expect(await isChanged(disk, tracking, A.offset)).toBe(false);
  }
}

/** Expects that each disk is its image, and that no other file is beside it. */
async function expectPlain(lab: QemuLab, engine: QemuEngine, guest: Guest): Promise<void> {
  expect((await engine.get(lab.vm, signal)).unmerged).toEqual([]);
  const names = readdirSync(lab.folder).filter((name) => !['state', 'run'].includes(name));
  expect(names.sort()).toEqual(['data.raw', 'system.qcow2']);
  for (const { name } of DISKS) {
    expect((await lab.content(lab.image(name))).equals(guest.of(name))).toBe(true);
  }
  const { status } = spawnSync('qemu-img', ['check', '-q', lab.image('system')]);
  expect([0, QCOW2_LEAKS_ONLY]).toContain(status);
}

/** Expects that the named command copies what the guest had. */
async function expectCopied(
  lab: QemuLab,
  unmerged: readonly UnmergedDisk[],
  guest: Guest,
): Promise<void> {
  for (const { name, copyCommand } of unmerged) {
    const copy = join(lab.folder, 'COPY.qcow2');
    execFileSync('sh', ['-c', copyCommand], { cwd: lab.folder });
    expect((await lab.content(copy)).equals(guest.of(name))).toBe(true);
    rmSync(copy);
  }
}

const STEPS: readonly Step[] = [
  'stopped-frozen',
  'stopped-logged',
  'stopped-merge-announced',
  'stopped-merge-launched',
  'stopped-merge-started',
  'stopped-merge-committed',
  'stopped-merge-closed',
  'stopped-merge-durable',
  'stopped-merge-saved',
  'stopped-merge-unlinked',
];
const WITH_QEMU = STEPS.slice(3, 6);
const KILLS: [Step, Victims][] = [
  ...STEPS.map((step): [Step, Victims] => [step, ['service']]),
  ...WITH_QEMU.map((step): [Step, Victims] => [step, ['qemu']]),
  ...WITH_QEMU.map((step): [Step, Victims] => [step, ['qemu', 'service']]),
];

const DRAWN = draw.some(KILLS, 2);

describe('The merge of a stopped VM', () => {
  it.each(DRAWN)('that is cut off at %s (killed: %s) loses nothing', async (killAt, kill) => {
    await using lab = await QemuLab.create(DISKS);
    const before = lab.engine();
    const story = await ranOn(lab, before);
    await before.close();

    const said = await runService(lab, { action: 'stop', killAt, kill });
    expect(said).toContain(`reached ${killAt}`);

    const engine = lab.engine();
    const { unmerged, warnings } = await engine.get(lab.vm, signal);
    expect(warnings).toEqual([]);
    await engine.reconcile(signal);
    // Half of the cases start from the chain as it was left, half from the resumed merge.
    if (KILLS.findIndex(([step, who]) => step === killAt && who === kill) % 2 === 0) {
      await engine.stop(lab.vm, { force: false, wait: true }, signal);
      await expectPlain(lab, engine, story.guest);
    }
    await engine.start(lab.vm, signal);
    const next = await engine.freeze(lab.vm, job('next'), signal);
    await expectTold(next, story.guest, story.first, story.before);
    expect(next.warnings).toEqual([]);
    await next[Symbol.asyncDispose]();
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    await expectPlain(lab, engine, story.guest);
    expect(unmerged.every(({ files }) => files.length > 1)).toBe(true);
  });

  it.each(draw.some(STEPS.slice(2), 2))('makes room for a start at %s', async (step) => {
    await using lab = await QemuLab.create(DISKS);
    let start: (() => void) | undefined;
    const started = new Promise<void>((resolve, reject) => {
      start = () => {
        engine.start(lab.vm, signal).then(resolve, reject);
      };
    });
    const engine = lab.engine({
      onStep: (reached) => {
        if (reached === step) {
          start?.();
          start = undefined;
        }
      },
    });
    const story = await ranOn(lab, engine);
    await engine.stop(lab.vm, { force: true }, signal);

    await started;

    expect((await engine.get(lab.vm, signal)).status).toBe('running');
    await using next = await engine.freeze(lab.vm, job('next'), signal);
    await expectTold(next, story.guest, story.first, story.before);
  });

  it('does not begin while a backup reads, is shown meanwhile, and follows', async () => {
    await using lab = await QemuLab.create(DISKS);
    const engine = lab.engine();
    const story = await ranOn(lab, engine);
    const frozen = await engine.freeze(lab.vm, job('reading'), signal);
    await story.guest.fill(A, 7);

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    const { unmerged } = await engine.get(lab.vm, signal);
    expect(unmerged.map(({ name, isMerging }) => [name, isMerging])).toEqual([
      ['system', false],
      ['data', false],
    ]);
    for (const { path, files } of unmerged) {
      const text = readFileSync(`${path}.hyperkeep-unmerged`, 'utf8');
      expect([...files, 'vm stop lab-vm --wait'].every((part) => text.includes(part))).toBe(true);
    }
    await expectCopied(lab, unmerged, story.guest);
    await expect(engine.add({ ...lab.definition, id: lab.vm.replace(/^./, '0') }, signal))
      .rejects // prettier-ignore
      .toMatchObject({ code: 'engine.vm-exists' });
    await frozen[Symbol.asyncDispose]();
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    await expectPlain(lab, engine, story.guest);
  });

  it('says what to copy while it goes on, and that copy is whole', async () => {
    await using lab = await QemuLab.create(DISKS);
    let seen: readonly UnmergedDisk[] = [];
    const engine = lab.engine({
      onStep: async (step) => {
        if (step === 'stopped-merge-started' && seen.length === 0) {
          seen = (await engine.get(lab.vm, signal)).unmerged;
          await expectCopied(lab, seen, story.guest);
        }
      },
    });
    const story = await ranOn(lab, engine);

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    expect(seen.map(({ isMerging, why }) => [isMerging, why])).toEqual([
      [true, 'it is being merged'],
      [true, 'it is being merged'],
    ]);
    await expectPlain(lab, engine, story.guest);
  });

  it('is given up at once when the service ends, and done by the next', async () => {
    await using lab = await QemuLab.create(DISKS);
    let closed: Promise<void> | undefined;
    const before = lab.engine({
      onStep: (step) => {
        if (step === 'stopped-merge-started') {
          closed ??= before.close();
        }
      },
    });
    const story = await ranOn(lab, before);
    await before.stop(lab.vm, { force: true, wait: true }, signal);
    await closed;
    expect(existsSync(lab.paths.pid)).toBe(false);

    const engine = lab.engine();
    expect((await engine.get(lab.vm, signal)).unmerged).toHaveLength(2);
    await engine.reconcile(signal);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    await expectPlain(lab, engine, story.guest);
  });

  it('writes to no base that is the backing file of another image', async () => {
    await using lab = await QemuLab.create(DISKS);
    const engine = lab.engine();
    const story = await ranOn(lab, engine);
    const clone = join(lab.folder, 'clone.qcow2');
    const shape = ['-f', 'qcow2', '-F', 'raw', '-b', 'data.raw'];
    execFileSync('qemu-img', ['create', '-q', '-u', ...shape, clone, '8M']);
    const cloned = await lab.content(clone);

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    const { unmerged } = await engine.get(lab.vm, signal);
    expect(unmerged).toMatchObject([
      { name: 'data', why: expect.stringContaining(clone) as string },
    ]);
    expect((await lab.content(clone)).equals(cloned)).toBe(true);
    await expect(engine.release(lab.vm, signal)).rejects.toMatchObject({
      code: 'engine.merge-failed',
    });
    rmSync(clone);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    await expectPlain(lab, engine, story.guest);
  });

  it('does not begin without room, and says so', async () => {
    await using lab = await QemuLab.create(DISKS);
    const before = lab.engine();
    const story = await ranOn(lab, before);
    await before.close();
    const engine = lab.engine({ limits: { freeBytesMin: Number.MAX_SAFE_INTEGER } });

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    const { unmerged } = await engine.get(lab.vm, signal);
    expect(unmerged.map(({ why }) => why.includes('lacks'))).toEqual([true, true]);
    await expectCopied(lab, unmerged, story.guest);
    await engine.start(lab.vm, signal);
    await engine.close();
    await using next = await lab.engine().freeze(lab.vm, job('next'), signal);
    await expectTold(next, story.guest, story.first, story.before);
  });

  it.each(['stopped-merge-announced', 'stopped-merge-committed'] as const)(
    'asks when the base was replaced after it was cut off at %s',
    async (killAt) => {
      await using lab = await QemuLab.create(DISKS);
      const before = lab.engine();
      await ranOn(lab, before);
      await before.close();
      await runService(lab, { action: 'stop', killAt, kill: ['service'] });
      const engine = lab.engine();
      const base = lab.image('data');
      copyFileSync(base, `${base}.other`);
      renameSync(`${base}.other`, base);

      await engine.reconcile(signal);
      await engine.stop(lab.vm, { force: true, wait: true }, signal);

      await expect(engine.start(lab.vm, signal)).rejects.toMatchObject({
        code: 'engine.base-replaced',
      });
      expect((await engine.get(lab.vm, signal)).unmerged.map(({ name }) => name)).toContain('data');
    },
  );

  it('happens when the guest shut itself down and no service saw it', async () => {
    await using lab = await QemuLab.create(DISKS);
    const before = lab.engine();
    const story = await ranOn(lab, before);
    await before.close();
    const pid = await lab.pid();
    await lab.qmp(async (qmp) => {
      await qmp.execute('quit', {}, signal).catch(() => undefined);
      await qmp.closed;
    });
    while (existsSync(`/proc/${String(pid)}`)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }

    const engine = lab.engine();
    expect((await engine.get(lab.vm, signal)).warnings).toEqual([]);
    expect((await engine.reconcile(signal)).join()).toContain('the guest shut itself down');
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    await expectPlain(lab, engine, story.guest);
  });

  it('does not happen by itself when QEMU was killed, but when somebody asks', async () => {
    await using lab = await QemuLab.create(DISKS);
    const before = lab.engine();
    const story = await ranOn(lab, before);
    await before.close();
    await lab.killQemu();

    const engine = lab.engine();
    await engine.reconcile(signal);
    const { unmerged, warnings } = await engine.get(lab.vm, signal);
    expect(warnings).toEqual(['the VM ended without being stopped']);
    expect(unmerged).toHaveLength(2);
    await expectCopied(lab, unmerged, story.guest);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    await expectPlain(lab, engine, story.guest);
  });
});

describe('A stopped VM', () => {
  it('is backed up again and again without a file, and starts with one new layer', async () => {
    await using lab = await QemuLab.create(DISKS);
    const engine = lab.engine();
    const story = await ranOn(lab, engine);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    for (let round = 0; round < 2; round += 1) {
      const frozen = await engine.freeze(lab.vm, job(), signal);
      expect(frozen.consistency).toBe('powered-off');
      await expectTold(frozen, story.guest, story.first, story.before);
      await frozen[Symbol.asyncDispose]();
      await expectPlain(lab, engine, story.guest);
    }
    await engine.start(lab.vm, signal);
    const layers = readdirSync(lab.folder).filter((name) => name.includes('.hk-'));
    expect(layers).toHaveLength(DISKS.length);
  });

  it('that was never backed up gets no layer by stops and starts', async () => {
    await using lab = await QemuLab.create(DISKS);
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    for (let round = 0; round < 2; round += 1) {
      await engine.start(lab.vm, signal);
      await lab.fill('data', A, 1 + round);
      await engine.stop(lab.vm, { force: true, wait: true }, signal);
    }
    expect(readdirSync(lab.folder).filter((name) => name.includes('.hk-'))).toEqual([]);
    expect(await lab.imageByte('data', A)).toBe(2);
  });

  it('has the size and the content that an administrator gives its images', async () => {
    await using lab = await QemuLab.create(DISKS);
    const engine = lab.engine();
    const system = lab.image('system');
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    await lab.fill('system', A, 1);
    const first = await engine.freeze(lab.vm, job(), signal);
    await first[Symbol.asyncDispose]();
    await lab.fill('system', A, 2);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    execFileSync('qemu-img', ['snapshot', '-c', 'before', system]);
    await engine.start(lab.vm, signal);
    await lab.fill('system', A, 3);
    await engine.stop(lab.vm, { force: true, wait: true }, signal);
    expect(await lab.imageByte('system', A)).toBe(3);
    execFileSync('qemu-img', ['snapshot', '-a', 'before', system]);
    execFileSync('qemu-img', ['resize', '-q', system, '12M']);

    await using frozen = await engine.freeze(lab.vm, job(), signal);

    const disk = diskOf(frozen, 'system');
    const bytes = Buffer.alloc(A.length);
    await disk.reader.read(A.offset, bytes, signal);
    expect(bytes.equals(Buffer.alloc(A.length, 2))).toBe(true);
    expect(disk.sizeBytes).toBe(12 * MiB);
    expect(await disk.changedSince(diskOf(first, 'system').tracking)).toMatchObject({
      reason: 'tracking-replaced',
    });
  });

  it('is released as plain images, with nothing of ours left', async () => {
    await using lab = await QemuLab.create(DISKS);
    const before = lab.engine();
    const story = await ranOn(lab, before);
    await before.stop(lab.vm, { force: true }, signal);
    await before.close();
    await runService(lab, { action: 'release', killAt: 'stopped-merge-committed', kill: ['service'] }); // prettier-ignore
    const engine = lab.engine();

    expect(await engine.release(lab.vm, signal)).toEqual(lab.definition);

    expect(existsSync(lab.paths.runFolder)).toBe(false);
    expect(existsSync(lab.paths.folder)).toBe(false);
    const names = readdirSync(lab.folder).filter((name) => !['state', 'run'].includes(name));
    expect(names.sort()).toEqual(['data.raw', 'system.qcow2']);
    for (const { name } of DISKS) {
      expect((await lab.content(lab.image(name))).equals(story.guest.of(name))).toBe(true);
    }
    await engine.add(lab.definition, signal);
    expect((await engine.get(lab.vm, signal)).status).toBe('stopped');
  });

  it('is not taken from an image that is not the whole disk', async () => {
    await using lab = await QemuLab.create(DISKS);
    const engine = lab.engine();
    await ranOn(lab, engine);
    await lab.killQemu();
    await engine.reconcile(signal);
    await engine.close();
    rmSync(lab.paths.folder, { recursive: true });

    await expect(lab.engine().add(lab.definition, signal)).rejects.toMatchObject({
      code: 'engine.image-refused',
      message: expect.stringContaining('not the whole disk') as string,
    });
  });
});
