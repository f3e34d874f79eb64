import { randomUUID } from 'node:crypto';
import type { ContentExtent, Extent } from '../../src/disk/extent.ts';
import type { Engine } from '../../src/engines/engine.ts';
import type { VmDefinition } from '../../src/vm/definition.ts';
import { byteIn, changedExtents, diskOf } from '../support/guest/frozen-disk.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const { signal } = new AbortController();

/** An engine with one VM that has two disks of 8 MiB, `system` and `data`, and an excluded one. */
export interface EngineUnderTest extends AsyncDisposable {
  readonly engine: Engine;
  /** Definition of a VM that was not added yet. */
  readonly definition: VmDefinition;
  /** Does what the guest of the running VM does. */
  fill(disk: string, range: Extent, byte: number): Promise<void>;
  /** Writes, and returns when the engine has counted it. */
  writeCounted(disk: string, range: Extent): Promise<void>;
  discard(disk: string, range: Extent): Promise<void>;
  grow(disk: string, sizeBytes: number): Promise<void>;
  /** Returns the one byte that fills `range` in the image of a disk, read without the engine. */
  imageByte(disk: string, range: Extent): Promise<number>;
  /** Kills the service while the host goes on; returns the engine of the next service. */
  restartService(): Promise<Engine>;
  /** Kills the service and every VM. */
  crashHost(): Promise<Engine>;
}

/** Whether `extents` says `content` about all of `range`. */
function covers(extents: readonly ContentExtent[], range: Extent, content: string): boolean {
  let position = range.offset;
  for (const extent of extents) {
    if (extent.content === content && extent.offset <= position) {
      position = Math.max(position, extent.offset + extent.length);
    }
  }
  return position >= range.offset + range.length;
}

const A = { offset: 1 * MiB, length: 64 * KiB };
const B = { offset: 3 * MiB, length: 64 * KiB };
const C = { offset: 5 * MiB, length: 64 * KiB };
const job = () => ({ jobToken: randomUUID(), crashConsistent: true });

/** What every Engine must do. Each implementation's spec calls this with its own factory. */
export function describeEngine(name: string, open: () => Promise<EngineUnderTest>): void {
  describe(`${name} is an Engine`, () => {
    let under: EngineUnderTest;
    let vm: string;

    beforeEach(async () => {
      under = await open();
      vm = under.definition.id;
      await under.engine.add(under.definition, signal);
    });

    afterEach(async () => {
      await under[Symbol.asyncDispose]();
    });

    it('knows the VMs that were added, and no others', async () => {
      const summary = await under.engine.get(vm, signal);

      expect(summary).toMatchObject({ id: vm, name: under.definition.name, status: 'stopped' });
      expect(await under.engine.list(signal)).toEqual([summary]);
      expect(await under.engine.ids(signal)).toEqual([summary.id]);
      await expect(under.engine.get(randomUUID(), signal)).rejects.toMatchObject({
        code: 'engine.vm-not-found',
      });
      await expect(under.engine.add(under.definition, signal)).rejects.toMatchObject({
        code: 'engine.vm-exists',
      });
    });

    it('starts and stops, and is not surprised by a second time', async () => {
      await under.engine.start(vm, signal);
      await under.engine.start(vm, signal);
      expect((await under.engine.get(vm, signal)).status).toBe('running');

      await under.engine.stop(vm, { force: true }, signal);
      await under.engine.stop(vm, { force: true }, signal);
      expect((await under.engine.get(vm, signal)).status).toBe('stopped');
    });

    it('shows all disks as they were at the freeze, whatever the guest does later', async () => {
      await under.engine.start(vm, signal);
      await under.fill('system', A, 1);
      await under.fill('data', B, 2);

      await using frozen = await under.engine.freeze(vm, job(), signal);
      await under.fill('system', A, 9);
      await under.discard('data', B);

      expect(await byteIn(diskOf(frozen, 'system'), A)).toBe(1);
      expect(await byteIn(diskOf(frozen, 'data'), B)).toBe(2);
      expect(await byteIn(diskOf(frozen, 'data'), C)).toBe(0);
      expect(frozen.disks.map((disk) => disk.name)).toEqual(['system', 'data']);
      expect(frozen.consistency).toBe('crash');
      await frozen.assertUnchanged(signal);
    });

    it('says exactly where a disk changed, with what was discarded as zero', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      await under.fill('data', B, 1);
      const first = await under.engine.freeze(vm, job(), signal);
      const state = diskOf(first, 'data').tracking;
      expect(await diskOf(first, 'data').changedSince(undefined)).toEqual({
        method: 'full',
        reason: 'first-backup',
      });
      await first[Symbol.asyncDispose]();
      await under.discard('data', A);
      await under.fill('data', C, 3);

      await using second = await under.engine.freeze(vm, job(), signal);

      const extents = await changedExtents(diskOf(second, 'data'), state);
      expect(covers(extents, A, 'zero')).toBe(true);
      expect(covers(extents, C, 'data')).toBe(true);
      expect(
        extents.some((e) => e.offset < B.offset + B.length && e.offset + e.length > B.offset),
      ).toBe(false);
      expect(
        await changedExtents(diskOf(second, 'system'), diskOf(first, 'system').tracking),
      ).toEqual([]);
      expect(await byteIn(diskOf(second, 'data'), A)).toBe(0);
      expect(await byteIn(diskOf(second, 'data'), B)).toBe(1);
      expect(await byteIn(diskOf(second, 'data'), C)).toBe(3);
    });

    it('keeps the changes of a freeze whose point was given up', async () => {
      await under.engine.start(vm, signal);
      const first = await under.engine.freeze(vm, job(), signal);
      const state = diskOf(first, 'data').tracking;
      await first[Symbol.asyncDispose]();
      await under.fill('data', A, 1);
      const givenUp = await under.engine.freeze(vm, job(), signal);
      await givenUp[Symbol.asyncDispose]();
      await under.fill('data', B, 2);

      await using third = await under.engine.freeze(vm, job(), signal);

      const extents = await changedExtents(diskOf(third, 'data'), state);
      expect(covers(extents, A, 'data') && covers(extents, B, 'data')).toBe(true);
    });

    it('takes one freeze of a VM at a time', async () => {
      await under.engine.start(vm, signal);
      const frozen = await under.engine.freeze(vm, job(), signal);

      await expect(under.engine.freeze(vm, job(), signal)).rejects.toMatchObject({
        code: 'engine.vm-busy',
      });
      await expect(under.engine.destroy(vm, signal)).rejects.toMatchObject({
        code: 'engine.vm-busy',
      });

      await frozen[Symbol.asyncDispose]();
      await using next = await under.engine.freeze(vm, job(), signal);
      expect(next.disks).toHaveLength(2);
    });

    it('gives one claim of a VM at a time, with numbers that only grow', async () => {
      const first = await under.engine.claim(vm, 'job', signal);

      for (const refused of [
        async () => under.engine.claim(vm, 'job', signal),
        async () => under.engine.freeze(vm, job(), signal),
        async () => under.engine.distrust(vm, 'any', signal),
        async () => under.engine.destroy(vm, signal),
      ]) {
        await expect(refused()).rejects.toMatchObject({ code: 'engine.vm-busy' });
      }

      await first[Symbol.asyncDispose]();
      const second = await under.engine.claim(vm, 'job', signal);
      expect(second).toMatchObject({ vmId: vm, jobId: 'job' });
      expect(second.fence).toBeGreaterThan(first.fence);
      await second[Symbol.asyncDispose]();
      await using third = await under.engine.freeze(vm, job(), signal);
      expect(third.disks).toHaveLength(2);
    });

    it('lets the attempt that has the claim do what it has to do', async () => {
      await using claim = await under.engine.claim(vm, 'job', signal);
      const freeze = async () => under.engine.freeze(vm, { ...job(), claim }, signal);
      await under.engine.start(vm, signal, claim);
      await under.fill('data', A, 1);
      const first = await freeze();
      await expect(freeze()).rejects.toMatchObject({ code: 'engine.vm-busy' });
      const { diskId, tracking } = diskOf(first, 'data');
      await under.engine.distrust(vm, diskId, signal, claim);
      await expect(under.engine.distrust(vm, diskId, signal)).rejects.toMatchObject({
        code: 'engine.vm-busy',
      });
      await first[Symbol.asyncDispose]();
      const second = await freeze();
      expect(await diskOf(second, 'data').changedSince(tracking)).toEqual({
        method: 'full',
        reason: 'tracking-replaced',
      });
      await second[Symbol.asyncDispose]();

      await under.engine.stop(vm, { force: true }, signal, claim);
      await under.engine.destroy(vm, signal, claim);

      expect(await under.engine.list(signal)).toEqual([]);
    });

    it('refuses a zombie that wakes after the next claim, whatever it calls', async () => {
      const before = under.engine;
      await before.start(vm, signal);
      await under.fill('data', A, 1);
      const claim = await before.claim(vm, 'job', signal);
      const zombie = await before.freeze(vm, { ...job(), claim }, signal);
      const { diskId } = diskOf(zombie, 'data');
      const engine = await under.restartService();
      await engine.reconcile(signal);
      await using next = await engine.claim(vm, 'next', signal);
      await using frozen = await engine.freeze(vm, { ...job(), claim: next }, signal);

      for (const service of [before, engine]) {
        for (const refused of [
          async () => service.distrust(vm, diskId, signal, claim),
          async () => service.start(vm, signal, claim),
          async () => service.stop(vm, { force: true }, signal, claim),
          async () => service.release(vm, signal, claim),
          async () => service.destroy(vm, signal, claim),
        ]) {
          await expect(refused()).rejects.toMatchObject({ code: 'engine.fenced' });
        }
      }
      await expect(engine.freeze(vm, { ...job(), claim }, signal)).rejects.toMatchObject({
        code: 'engine.fenced',
      });
      // It may have been closed, and freezes nothing then, whoever asks.
      await expect(before.freeze(vm, { ...job(), claim }, signal)).rejects.toThrow();
      await zombie[Symbol.asyncDispose]();
      await claim[Symbol.asyncDispose]();

      expect((await engine.get(vm, signal)).status).toBe('running');
      expect(await byteIn(diskOf(frozen, 'data'), A)).toBe(1);
      await expect(engine.freeze(vm, job(), signal)).rejects.toMatchObject({
        code: 'engine.vm-busy',
      });
    });

    it('counts by itself: a restored or new database that repeats ids of jobs changes nothing', async () => {
      const before = under.engine;
      const claim = await before.claim(vm, 'job-1', signal);
      const engine = await under.restartService();
      await engine.reconcile(signal);

      await using again = await engine.claim(vm, 'job-1', signal);

      expect(again.fence).toBeGreaterThan(claim.fence);
      await expect(engine.destroy(vm, signal, claim)).rejects.toMatchObject({
        code: 'engine.fenced',
      });
    });

    it('refuses to guess about a state of another line of history', async () => {
      await under.engine.start(vm, signal);
      await using frozen = await under.engine.freeze(vm, job(), signal);
      const disk = diskOf(frozen, 'data');

      for (const state of [
        { id: randomUUID(), generation: 1 },
        { id: disk.tracking.id, generation: disk.tracking.generation + 1 },
      ]) {
        expect(await disk.changedSince(state)).toEqual({
          method: 'full',
          reason: 'tracking-replaced',
        });
      }
    });

    it('does not forget a disk that was distrusted while it was frozen, whatever ends then', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      const claim = await under.engine.claim(vm, 'job', signal);
      const frozen = await under.engine.freeze(vm, { ...job(), claim }, signal);
      const { tracking, diskId } = diskOf(frozen, 'data');
      const other = diskOf(frozen, 'system').tracking;

      await under.engine.distrust(vm, diskId, signal, claim);
      const engine = await under.restartService();
      await engine.reconcile(signal);

      await using next = await engine.freeze(vm, job(), signal);
      expect(await diskOf(next, 'data').changedSince(tracking)).toEqual({
        method: 'full',
        reason: 'tracking-replaced',
      });
      expect(await diskOf(next, 'system').changedSince(other)).toMatchObject({
        method: 'changed-extents',
      });
      await frozen[Symbol.asyncDispose]();
      await claim[Symbol.asyncDispose]();
    });

    it('begins a new line of history when it is told to distrust a disk', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      const first = await under.engine.freeze(vm, job(), signal);
      const { tracking, diskId } = diskOf(first, 'data');
      const other = diskOf(first, 'system').tracking;
      await expect(under.engine.distrust(vm, diskId, signal)).rejects.toMatchObject({
        code: 'engine.vm-busy',
      });
      await first[Symbol.asyncDispose]();

      await under.engine.distrust(vm, diskId, signal);
      await under.fill('data', B, 2);

      await using next = await under.engine.freeze(vm, job(), signal);
      expect(await diskOf(next, 'data').changedSince(tracking)).toEqual({
        method: 'full',
        reason: 'tracking-replaced',
      });
      expect(await byteIn(diskOf(next, 'data'), A)).toBe(1);
      expect(await byteIn(diskOf(next, 'data'), B)).toBe(2);
      expect(await changedExtents(diskOf(next, 'system'), other)).toEqual([]);
    });

    it('freezes a powered-off VM and goes on tracking', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      await under.engine.stop(vm, { force: true }, signal);
      const first = await under.engine.freeze(vm, job(), signal);
      expect(first.consistency).toBe('powered-off');
      expect(await byteIn(diskOf(first, 'data'), A)).toBe(1);
      const state = diskOf(first, 'data').tracking;
      await first[Symbol.asyncDispose]();
      const unchanged = await under.engine.freeze(vm, job(), signal);
      expect(await changedExtents(diskOf(unchanged, 'data'), state)).toEqual([]);
      await unchanged[Symbol.asyncDispose]();
      await under.engine.start(vm, signal);
      await under.fill('data', B, 2);

      await using second = await under.engine.freeze(vm, job(), signal);

      const extents = await changedExtents(diskOf(second, 'data'), state);
      expect(covers(extents, B, 'data')).toBe(true);
      expect(covers(extents, A, 'data')).toBe(false);
      expect(await byteIn(diskOf(second, 'data'), A)).toBe(1);
    });

    it('makes the image of each disk the whole disk after a stop, and goes on tracking', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      const first = await under.engine.freeze(vm, job(), signal);
      const state = diskOf(first, 'data').tracking;
      await first[Symbol.asyncDispose]();
      await under.fill('data', B, 2);
      await under.fill('system', B, 2);
      await under.engine.stop(vm, { force: true, wait: true }, signal);
      expect((await under.engine.get(vm, signal)).unmerged).toEqual([]);
      expect(await under.imageByte('data', B)).toBe(2);
      expect(await under.imageByte('system', B)).toBe(2);
      await under.engine.start(vm, signal);
      await under.fill('data', C, 3);
      expect(await under.imageByte('data', A)).toBe(1);

      await using second = await under.engine.freeze(vm, job(), signal);

      const extents = await changedExtents(diskOf(second, 'data'), state);
      expect(covers(extents, B, 'data') && covers(extents, C, 'data')).toBe(true);
      expect(covers(extents, A, 'data')).toBe(false);
      for (const [range, byte] of [
        [A, 1],
        [B, 2],
        [C, 3],
      ] as const) {
        expect(await byteIn(diskOf(second, 'data'), range)).toBe(byte);
      }
    });

    it('gives no running VM back', async () => {
      await under.engine.start(vm, signal);

      await expect(under.engine.release(vm, signal)).rejects.toMatchObject({
        code: 'engine.vm-running',
      });

      expect((await under.engine.get(vm, signal)).status).toBe('running');
      await under.engine.stop(vm, { force: true }, signal);
      expect((await under.engine.get(vm, signal)).status).toBe('stopped');
    });

    it('starts a powered-off VM while it is being read', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      await under.engine.stop(vm, { force: true }, signal);
      const frozen = await under.engine.freeze(vm, job(), signal);
      await under.engine.start(vm, signal);
      await under.fill('data', A, 2);

      expect(await byteIn(diskOf(frozen, 'data'), A)).toBe(1);
      await frozen[Symbol.asyncDispose]();
      await using next = await under.engine.freeze(vm, job(), signal);
      expect(await byteIn(diskOf(next, 'data'), A)).toBe(2);
      expect(
        covers(
          await changedExtents(diskOf(next, 'data'), diskOf(frozen, 'data').tracking),
          A,
          'data',
        ),
      ).toBe(true);
    });

    it('follows a disk that grows', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      const first = await under.engine.freeze(vm, job(), signal);
      await first[Symbol.asyncDispose]();
      await under.grow('data', 12 * MiB);
      await under.fill('data', { offset: 10 * MiB, length: 64 * KiB }, 5);

      await using second = await under.engine.freeze(vm, job(), signal);

      const disk = diskOf(second, 'data');
      expect(disk.sizeBytes).toBe(12 * MiB);
      expect(disk.reader.size).toBe(12 * MiB);
      expect(second.definition.disks.find((d) => d.name === 'data')?.sizeBytes).toBe(12 * MiB);
      const extents = await changedExtents(disk, diskOf(first, 'data').tracking);
      expect(covers(extents, { offset: 8 * MiB, length: 2 * MiB }, 'zero')).toBe(true);
      expect(covers(extents, { offset: 10 * MiB, length: 64 * KiB }, 'data')).toBe(true);
      expect(covers(extents, A, 'data')).toBe(false);
      expect(await byteIn(diskOf(second, 'data'), { offset: 10 * MiB, length: 64 * KiB })).toBe(5);
    });

    it('goes on after the service died with a VM frozen', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      const first = await under.engine.freeze(vm, job(), signal);
      const state = diskOf(first, 'data').tracking;
      await first[Symbol.asyncDispose]();
      await under.fill('data', B, 2);
      await under.engine.freeze(vm, job(), signal);
      await under.fill('data', C, 3);

      const engine = await under.restartService();
      await engine.reconcile(signal);
      await using next = await engine.freeze(vm, job(), signal);

      const extents = await changedExtents(diskOf(next, 'data'), state);
      expect(covers(extents, B, 'data') && covers(extents, C, 'data')).toBe(true);
      expect(covers(extents, A, 'data')).toBe(false);
      for (const [range, byte] of [
        [A, 1],
        [B, 2],
        [C, 3],
      ] as const) {
        expect(await byteIn(diskOf(next, 'data'), range)).toBe(byte);
      }
    });

    it('goes on after the host died with a VM frozen', async () => {
      await under.engine.start(vm, signal);
      await under.fill('data', A, 1);
      const first = await under.engine.freeze(vm, job(), signal);
      const state = diskOf(first, 'data').tracking;
      await first[Symbol.asyncDispose]();
      await under.fill('data', B, 2);
      await under.engine.freeze(vm, job(), signal);
      await under.fill('data', C, 3);

      const engine = await under.crashHost();
      await engine.reconcile(signal);
      expect((await engine.get(vm, signal)).status).toBe('stopped');
      await engine.start(vm, signal);
      await using next = await engine.freeze(vm, job(), signal);

      const extents = await changedExtents(diskOf(next, 'data'), state);
      expect(covers(extents, B, 'data') && covers(extents, C, 'data')).toBe(true);
      expect(covers(extents, A, 'data')).toBe(false);
      for (const [range, byte] of [
        [A, 1],
        [B, 2],
        [C, 3],
      ] as const) {
        expect(await byteIn(diskOf(next, 'data'), range)).toBe(byte);
      }
    });

    it('counts the writes of a running guest by how long they took, or says that it cannot', async () => {
      await under.engine.start(vm, signal);
      const frozen = await under.engine.freeze(vm, job(), signal);
      if (frozen.guestWriteLatency === undefined) {
        await frozen[Symbol.asyncDispose]();
        return;
      }
      const total = async (): Promise<number> => {
        const said = await frozen.guestWriteLatency?.(signal);
        expect(said?.boundsMs).toEqual(said?.boundsMs.toSorted((a, b) => a - b));
        expect(said?.writes).toHaveLength((said?.boundsMs.length ?? 0) + 1);
        return said?.writes.reduce((sum, count) => sum + count, 0) ?? NaN;
      };
      const before = await total();
      await under.writeCounted('system', A);
      await under.writeCounted('data', B);
      await under.writeCounted('data', C);
      // A flush may count too.
      expect(await total()).toBeGreaterThanOrEqual(before + 3);
      await expect(frozen.guestWriteLatency(AbortSignal.abort())).rejects.toMatchObject({
        name: 'AbortError',
      });

      await under.engine.stop(vm, { force: true }, signal);
      expect(await frozen.guestWriteLatency(signal)).toBeUndefined();
      await frozen[Symbol.asyncDispose]();
      await using off = await under.engine.freeze(vm, job(), signal);
      expect(off).not.toHaveProperty('guestWriteLatency');
    });

    it('forgets a VM that was released or destroyed', async () => {
      await under.engine.start(vm, signal);
      await under.engine.stop(vm, { force: true }, signal);

      const released = await under.engine.release(vm, signal);

      expect(released).toEqual(under.definition);
      await expect(under.engine.get(vm, signal)).rejects.toMatchObject({
        code: 'engine.vm-not-found',
      });
      await under.engine.add(released, signal);
      await under.engine.destroy(vm, signal);
      expect(await under.engine.list(signal)).toEqual([]);
    });

    it('does nothing once its signal has fired', async () => {
      const fired = AbortSignal.abort();

      await expect(under.engine.start(vm, fired)).rejects.toMatchObject({ name: 'AbortError' });
      await expect(under.engine.freeze(vm, job(), fired)).rejects.toMatchObject({
        name: 'AbortError',
      });
      expect((await under.engine.get(vm, signal)).status).toBe('stopped');
    });
  });
}
