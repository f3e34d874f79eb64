import { readdirSync, readFileSync } from 'node:fs';
import type { ContentExtent, Extent } from '../../src/disk/extent.ts';
import { Draw } from '../support/draw.ts';
import { runService, type Victims } from '../support/guest/engine-service.ts';
import { byteIn, diskOf } from '../support/guest/frozen-disk.ts';
import { QemuLab, type LabDisk } from '../support/guest/qemu-lab.ts';

/**
 * A run draws 2 of 8 steps of a freeze and 2 of 5 of a merge, 2 of 7 deaths with QEMU, 1 of 5 of
 * QEMU alone, 1 of 2 of a powered-off VM, 2 of 5 of a start: each with a probability of at least
 * 1 in 5, so within 21 runs with 99 %. All: `npm run soak -- drawn`.
 */
const draw = new Draw('cut off engine');
const KiB = 1024;
const MiB = 1024 * KiB;
const { signal } = new AbortController();

const DISKS: readonly LabDisk[] = [
  { name: 'system', format: 'qcow2', sizeBytes: 64 * MiB },
  { name: 'data', format: 'raw', sizeBytes: 64 * MiB },
];
const A = { offset: 1 * MiB, length: 64 * KiB };
const B = { offset: 3 * MiB, length: 64 * KiB };
const C = { offset: 5 * MiB, length: 64 * KiB };
/** Long enough for a merge to be cut off in the middle. */
const LARGE = { offset: 16 * MiB, length: 40 * MiB };

function covers(extents: readonly ContentExtent[], { offset, length }: Extent): boolean {
  return extents.some((e) => e.offset <= offset && e.offset + e.length >= offset + length);
}

/** Returns our processes that still have to do with the lab, except QEMU. */
function strayProcesses(lab: QemuLab): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter(
      (line) => line.includes(lab.folder) && /qemu-nbd|guard\.main|qemu-img|flock/.test(line),
    );
}

/** Expects the layers, nodes and files of one base and one overlay per disk. */
async function expectSteadyState(lab: QemuLab): Promise<void> {
  const names = readdirSync(lab.folder).filter((name) => name !== 'state' && name !== 'run');
  const overlays = names.filter((name) => name.includes('.hk-'));
  expect(overlays).toHaveLength(DISKS.length);
  expect(names).toHaveLength(2 * DISKS.length);
  const nodes = await lab.qmp(async (qmp) =>
    qmp.execute('query-named-block-nodes', { flat: true }, signal),
  );
  expect(nodes).toHaveLength(4 * DISKS.length);
  expect(await lab.qmp(async (qmp) => qmp.execute('query-jobs', {}, signal))).toEqual([]);
  expect(strayProcesses(lab)).toEqual([]);
}

/**
 * One story: a first backup, more writes, a second backup that is cut off at `step`, more writes,
 * and what the next service makes of it.
 */
async function cutOff(step: string, kill: Victims): Promise<void> {
  await using lab = await QemuLab.create(DISKS);
  const before = lab.engine();
  await before.add(lab.definition, signal);
  await before.start(lab.vm, signal);
  await lab.fill('data', A, 1);
  await lab.fill('system', A, 1);
  const first = await before.freeze(lab.vm, { jobToken: 'first', crashConsistent: true }, signal);
  await first[Symbol.asyncDispose]();
  await lab.fill('data', B, 2);
  await lab.fill('data', LARGE, 7);
  await lab.fill('system', B, 2);
  await before.close();

  const said = await runService(lab, { killAt: step, kill });
  expect(said).toContain(`reached ${step}`);
  const isAlive = !kill.includes('qemu');
  if (isAlive) {
    await lab.fill('data', C, 3);
    await lab.discard('system', A);
  } else {
    await lab.killQemu();
  }

  const engine = lab.engine();
  await engine.reconcile(signal);
  expect(await engine.reconcile(signal)).toEqual([]);
  expect((await engine.get(lab.vm, signal)).status).toBe(isAlive ? 'running' : 'stopped');
  if (!isAlive) {
    const { warnings } = await engine.get(lab.vm, signal);
    expect(warnings).toContain('the VM ended without being stopped');
    await engine.start(lab.vm, signal);
  }
  const next = await engine.freeze(lab.vm, { jobToken: 'next', crashConsistent: true }, signal);
  for (const name of ['data', 'system']) {
    const disk = diskOf(next, name);
    const changes = await disk.changedSince(diskOf(first, name).tracking);
    expect(changes.method).toBe('changed-extents');
    const extents = changes.method === 'full' ? [] : changes.extents;
    expect(covers(extents, B)).toBe(true);
    expect(covers(extents, name === 'data' ? C : A)).toBe(isAlive);
    expect(covers(extents, { offset: 8 * MiB, length: 512 })).toBe(false);
    expect(await byteIn(disk, A)).toBe(isAlive && name === 'system' ? 0 : 1);
    expect(await byteIn(disk, B)).toBe(2);
  }
  expect(await byteIn(diskOf(next, 'data'), C)).toBe(isAlive ? 3 : 0);
  expect(await byteIn(diskOf(next, 'data'), LARGE)).toBe(7);
  await next[Symbol.asyncDispose]();
  await expectSteadyState(lab);
}

const FREEZE_STEPS = [
  'overlays-planned',
  'overlays-made',
  'overlays-added',
  'announced',
  'pivoted',
  'thawed',
  'frozen-saved',
  'changes-logged',
];
const MERGE_STEPS = [
  'merge-announced',
  'merge-started',
  'merge-committed',
  'merge-saved',
  'merge-closed',
];

const WITH_QEMU = [
  'overlays-made',
  'announced',
  'pivoted',
  'frozen-saved',
  ...MERGE_STEPS.slice(1, 4),
];
const QEMU_ALONE = [
  'overlays-added',
  'announced',
  'frozen-saved',
  'merge-started',
  'merge-committed',
];

describe('A backup that is cut off', () => {
  it.each([...draw.some(FREEZE_STEPS, 2), ...draw.some(MERGE_STEPS, 2)])(
    'leaves nothing behind when the service is killed at %s',
    async (step) => cutOff(step, ['service']),
  );

  it.each(draw.some(WITH_QEMU, 2))(
    'leaves nothing behind when QEMU and the service are killed at %s',
    async (step) => cutOff(step, ['qemu', 'service']),
  );

  it.each(draw.some(QEMU_ALONE, 1))(
    'leaves nothing behind when QEMU is killed at %s and the service lives',
    async (step) => cutOff(step, ['qemu']),
  );
});

describe('A backup of a powered-off VM that is cut off', () => {
  it.each(draw.some(['frozen-saved', 'changes-logged'], 1))(
    'at %s loses no change',
    async (step) => {
      await using lab = await QemuLab.create(DISKS);
      const before = lab.engine();
      await before.add(lab.definition, signal);
      await before.start(lab.vm, signal);
      await lab.fill('data', A, 1);
      const first = await before.freeze(
        lab.vm,
        { jobToken: 'first', crashConsistent: true },
        signal,
      );
      await first[Symbol.asyncDispose]();
      await lab.fill('data', B, 2);
      await before.stop(lab.vm, { force: true, wait: true }, signal);
      await before.close();

      expect(await runService(lab, { killAt: step, kill: ['service'] })).toContain('reached');

      const engine = lab.engine();
      await engine.reconcile(signal);
      expect(await engine.reconcile(signal)).toEqual([]);
      await engine.start(lab.vm, signal);
      await lab.fill('data', C, 3);
      const next = await engine.freeze(lab.vm, { jobToken: 'next', crashConsistent: true }, signal);
      const disk = diskOf(next, 'data');
      const changes = await disk.changedSince(diskOf(first, 'data').tracking);
      const extents = changes.method === 'full' ? [] : changes.extents;
      expect([A, B, C].map((range) => covers(extents, range))).toEqual([false, true, true]);
      expect([await byteIn(disk, A), await byteIn(disk, B), await byteIn(disk, C)]).toEqual([
        1, 2, 3,
      ]);
      await next[Symbol.asyncDispose]();
      await expectSteadyState(lab);
    },
  );
});

const START_STEPS = [
  ['overlays-planned', 'stopped'],
  ['overlays-made', 'stopped'],
  ['layers-put', 'stopped'],
  ['start-announced', 'stopped'],
  ['launched', 'running'],
] as const;

describe('A start that is cut off', () => {
  it.each(draw.some(START_STEPS, 2))('at %s is a VM that is %s', async (step, status) => {
    await using lab = await QemuLab.create(DISKS);
    const before = lab.engine();
    await before.add(lab.definition, signal);
    const frozen = await before.freeze(lab.vm, { jobToken: 'first' }, signal);
    await frozen[Symbol.asyncDispose]();
    await before.close();

    expect(await runService(lab, { action: 'start', killAt: step, kill: ['service'] })).toContain(
      `reached ${step}`,
    );

    const engine = lab.engine();
    await engine.reconcile(signal);
    expect((await engine.get(lab.vm, signal)).status).toBe(status);
    await engine.start(lab.vm, signal);
    expect((await engine.get(lab.vm, signal)).status).toBe('running');
    await engine.reconcile(signal);
    await expectSteadyState(lab);
  });
});
