import fc from 'fast-check';
import type { ContentExtent } from '../disk/extent.ts';
import { Clock } from '../kernel/clock.ts';
import { overlay } from '../disk/extent.ts';
import { MemoryDisk } from '../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  DISK,
  fingerprint,
  FULL,
  openVault,
  PASSPHRASE,
  restored,
  signal,
  VM,
} from '../../test/support/vault/vault-lab.ts';
import { MemoryObjectStore } from '../../test/support/vault/memory-object-store.ts';
import type { RecoveryPoint } from './points/recovery-point.ts';
import { Vault } from './vault.ts';
import type { CompressionLevel } from './bytes/zstd.ts';

const MIB = 1024 * 1024;

interface Change {
  readonly kind: 'write' | 'zero';
  readonly offset: number;
  readonly length: number;
  readonly seed: number;
}

/** Copies a disk into one of another size: cut-off content is lost, added content is zero. */
function resized(disk: MemoryDisk, size: number): MemoryDisk {
  const next = new MemoryDisk(size);
  const kept = new Uint8Array(Math.min(size, disk.size));
  disk.read(0, kept);
  for (let at = 0; at < kept.length; at += 4096) {
    const page = kept.subarray(at, at + 4096);
    if (page.some((byte) => byte !== 0)) {
      next.write(at, page);
    }
  }
  return next;
}

function apply(disk: MemoryDisk, changes: readonly Change[]): ContentExtent[] {
  let log: ContentExtent[] = [];
  for (const { kind, offset, length, seed } of changes) {
    const from = Math.min(offset, disk.size - 1);
    const count = Math.min(length, disk.size - from);
    if (kind === 'write') {
      disk.write(from, seededBytes(`${seed % 5}`, count));
    } else {
      disk.zero({ offset: from, length: count });
    }
    const content = kind === 'write' ? 'data' : 'zero';
    log = overlay(log, [{ offset: from, length: count, content }]);
  }
  return log;
}

const change = (span: number): fc.Arbitrary<Change> =>
  fc.record({
    kind: fc.constantFrom('write', 'write', 'zero'),
    offset: fc.oneof(
      fc.nat(span),
      fc.nat(Math.floor(span / 4096)).map((page) => page * 4096),
    ),
    length: fc.oneof(
      fc.integer({ min: 1, max: 20_000 }),
      fc.constant(4096),
      fc.integer({ min: 1, max: 300_000 }),
    ),
    seed: fc.nat(100),
  });

describe('Vault', () => {
  it.each([
    {
      what: 'small chunks',
      parameters: { minSectors: 1, maxSectors: 3, cutBits: 1, packBytes: 64 * 1024 },
    },
    { what: 'usual chunks', parameters: {} },
  ])('restores every point of a random history, $what', async ({ parameters }) => {
    const generation = fc.record({
      changes: fc.array(change(3 * MIB), { maxLength: 8 }),
      full: fc.boolean(),
      size: fc.option(fc.integer({ min: 1, max: 3 * MIB }), { freq: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 * MIB }),
        fc.array(generation, { minLength: 1, maxLength: 5 }),
        async (size, generations) => {
          const store = new MemoryObjectStore();
          const { vault } = await createVault(store, { parameters });
          let disk = new MemoryDisk(size);
          const expected: { point: RecoveryPoint; disk: MemoryDisk; hash: string }[] = [];
          for (const { changes, full, size: next } of generations) {
            disk = resized(disk, next ?? disk.size);
            const extents = apply(disk, changes);
            const set = full ? FULL : ({ method: 'changed-extents', extents } as const);
            const point = await backUp(vault, disk, { changes: set });
            expected.push({ point, disk, hash: await fingerprint(disk.reader()) });
          }
          const fresh = await openVault(store);
          for (const { point, disk: model, hash } of expected) {
            const back = await restored(fresh, point, model.size);
            expect(await fingerprint(back.reader())).toBe(hash);
            const mounted = await fresh.openDisk(point.id, DISK, signal);
            expect(await fingerprint(mounted)).toBe(hash);
            const report = await fresh.verify(point.id, 3, { signal });
            expect(report).toMatchObject({ ok: true, level: 3, problems: [] });
          }
        },
      ),
      { numRuns: 6 },
    );
  });

  it('restores points of a disk of several leaves that grows a level and shrinks again', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    let disk = new MemoryDisk(60 * MIB);
    disk.write(1000, seededBytes('a', 200_000));
    const points = [{ point: await backUp(vault, disk), disk }];
    for (const [size, offset] of [
      [200 * MIB + 777, 130 * MIB + 5],
      [20_000 * MIB, 17_000 * MIB],
      [65 * MIB + 1, 64 * MIB + 100],
      [10 * MIB, 9 * MIB],
    ] as const) {
      const next = new MemoryDisk(size);
      const head = new Uint8Array(Math.min(size, MIB, disk.size));
      disk.read(0, head);
      for (let at = 0; at < head.length; at += 4096) {
        const page = head.subarray(at, at + 4096);
        if (page.some((byte) => byte !== 0)) {
          next.write(at, page);
        }
      }
      // Content beyond 1 MiB is gone in this history: it was discarded.
      const discarded = { offset: MIB, length: size - MIB, content: 'zero' } as const;
      const change = seededBytes(`b${size}`, 50_000);
      next.write(offset, change);
      const written = { offset, length: change.length, content: 'data' } as const;
      const extents = overlay([discarded], [written]);
      disk = next;
      points.push({
        point: await backUp(vault, disk, { changes: { method: 'changed-extents', extents } }),
        disk,
      });
    }

    for (const { point, disk: model } of points) {
      const back = await restored(vault, point, model.size);
      expect(await fingerprint(back.reader())).toBe(await fingerprint(model.reader()));
    }
  });

  it('shares what is the same within and between VMs, and stores it once', async () => {
    const { vault } = await createVault();
    const disk = new MemoryDisk(4 * MIB);
    disk.write(0, seededBytes('x', 2 * MIB));
    const first = await backUp(vault, disk);

    const again = await backUp(vault, disk);
    const other = await backUp(vault, disk, { vm: { vmId: 'vm-2', vmName: 'db' } });

    expect(first.disks[0]?.statistics.newBytes).toBe(2 * MIB);
    expect(again.disks[0]?.statistics).toMatchObject({
      readBytes: 2 * MIB,
      newBytes: 0,
      storedBytes: 0,
    });
    expect(other.disks[0]?.statistics.newBytes).toBe(0);
    expect(again.parentId).toBe(first.id);
    expect(other.parentId).toBeUndefined();
    expect(await vault.vms(signal)).toHaveLength(2);
  });

  it('keeps compared content in place when a full scan follows an incremental one', async () => {
    const { vault } = await createVault();
    const disk = new MemoryDisk(4 * MIB);
    disk.write(0, seededBytes('x', 2 * MIB));
    await backUp(vault, disk);
    disk.write(300_000, seededBytes('y', 10_000));
    const extents = [{ offset: 300_000, length: 10_000, content: 'data' }] as const;
    const small = await backUp(vault, disk, { changes: { method: 'changed-extents', extents } });

    const scan = await backUp(vault, disk);

    expect(small.disks[0]?.statistics.readBytes).toBe(3 * 4096);
    // Only the cut-off head and tail of the old chunk are stored as chunks of their own, or those
    // of two if the change crosses their border. The key, which differs each time, decides where
    // chunks end.
    expect(scan.disks[0]?.statistics.newBytes).toBeLessThanOrEqual(2 * 31 * 4096);
    expect(await fingerprint((await restored(vault, scan, disk.size)).reader())).toBe(
      await fingerprint(disk.reader()),
    );
  });

  it('keeps files and facts of a point', async () => {
    const { vault } = await createVault();
    const point = await backUp(vault, new MemoryDisk(4096));

    expect(Buffer.from(await vault.readFile(point.id, 'nvram', signal)).toString()).toBe(
      'settings',
    );
    expect(await vault.point(point.id.slice(0, 20).toLowerCase(), signal)).toEqual(point);
    expect(await vault.points(signal, VM.vmId)).toEqual([point]);
    await expect(vault.readFile(point.id, 'other', signal)).rejects.toMatchObject({
      code: 'vault.file-not-found',
    });
    await expect(vault.openDisk(point.id, 'other', signal)).rejects.toMatchObject({
      code: 'vault.disk-not-found',
    });
    await expect(vault.point('0', signal)).resolves.toEqual(point);
    await expect(vault.point('7ZZ', signal)).rejects.toMatchObject({
      code: 'vault.point-not-found',
    });
  });

  it('hides a retired point and does not build on it', async () => {
    const { vault } = await createVault();
    const disk = new MemoryDisk(100_000);
    const first = await backUp(vault, disk);
    const second = await backUp(vault, disk);

    await vault.retire(second.id, signal);
    const third = await backUp(vault, disk);

    expect(third.parentId).toBe(first.id);
    expect((await vault.points(signal)).map(({ id }) => id)).toEqual([first.id, third.id]);
    await expect(vault.point(second.id, signal)).rejects.toMatchObject({
      code: 'vault.point-not-found',
    });
  });

  it('orders points after their parent even when the clock stepped back', async () => {
    const store = new MemoryObjectStore();
    let nowMs = 2_000_000_000_000;
    class SteppingClock extends Clock {
      override nowMs(): number {
        return nowMs;
      }

      override monotonicMs(): number {
        return 0;
      }
    }
    const clock = new SteppingClock();
    const { vault } = await createVault(store, { clock });
    const first = await backUp(vault, new MemoryDisk(4096));
    nowMs -= 1_000_000;

    const second = await backUp(vault, new MemoryDisk(4096));

    expect(second.id > first.id).toBe(true);
    expect(second.parentId).toBe(first.id);
  });

  it('compresses as hard as it is asked to', async () => {
    const disk = new MemoryDisk(4 * MIB);
    const words = Array.from(
      seededBytes('words', 400_000),
      (byte) => `${(byte % 97).toString(3)} `,
    );
    disk.write(0, Buffer.from(words.join('')));
    const stored = async (compressionLevel: CompressionLevel): Promise<number> => {
      const { vault } = await createVault(new MemoryObjectStore());
      const vm = { ...VM, compressionLevel };
      const { disks } = await backUp(vault, disk, { vm });
      return disks.reduce((sum, { statistics }) => sum + statistics.storedBytes, 0);
    };

    expect(await stored(7)).toBeLessThan(0.95 * (await stored(1)));
  });

  it('refuses a second backup of a VM at once, and allows it when the first was disposed of', async () => {
    const { vault } = await createVault();
    const writer = await vault.beginPoint(VM, signal);
    await expect(vault.beginPoint(VM, signal)).rejects.toMatchObject({ code: 'vault.vm-busy' });

    await writer[Symbol.asyncDispose]();

    await (await vault.beginPoint(VM, signal))[Symbol.asyncDispose]();
  });

  it('opens with passphrase, recovery file and exported key, and with nothing else', async () => {
    const store = new MemoryObjectStore();
    const { vault, recoveryFile } = await createVault(store);
    const open = async (unlock: Parameters<typeof Vault.open>[1]) =>
      (await Vault.open(store, unlock, { workers: 0 }, signal)).id;

    expect(await open({ kind: 'passphrase', passphrase: PASSPHRASE })).toBe(vault.id);
    expect(await open({ kind: 'recovery-file', content: recoveryFile })).toBe(vault.id);
    expect(await open({ kind: 'master-key', key: vault.exportKey() })).toBe(vault.id);
    await expect(open({ kind: 'passphrase', passphrase: 'wrong' })).rejects.toMatchObject({
      code: 'vault.wrong-passphrase',
    });
    await expect(open({ kind: 'master-key', key: new Uint8Array(32) })).rejects.toMatchObject({
      code: 'vault.wrong-passphrase',
    });
    const typo = recoveryFile.replace(
      /secret: (.)/,
      (_, first: string) => `secret: ${first === '0' ? '1' : '0'}`,
    );
    await expect(open({ kind: 'recovery-file', content: typo })).rejects.toMatchObject({
      code: 'vault.key-corrupt',
    });
    const other = await createVault();
    await expect(
      open({ kind: 'recovery-file', content: other.recoveryFile }),
    ).rejects.toMatchObject({ code: 'vault.wrong-passphrase' });
  });

  it('is not created twice, without a passphrase, or opened where there is none', async () => {
    const store = new MemoryObjectStore();
    await expect(openVault(store)).rejects.toMatchObject({ code: 'vault.not-found' });
    await expect(createVault(store, { passphrase: '' })).rejects.toMatchObject({
      code: 'vault.weak-passphrase',
    });
    await expect(createVault(store, { passphrase: 'aaaaaaaaaaaa' })).rejects.toMatchObject({
      code: 'vault.weak-passphrase',
    });

    await createVault(store);

    await expect(createVault(store)).rejects.toMatchObject({ code: 'vault.not-empty' });
  });

  it('works through worker threads and leaves none behind', async () => {
    const { vault } = await createVault(new MemoryObjectStore(), { workers: 2 });
    const disk = new MemoryDisk(20 * MIB);
    disk.write(0, seededBytes('w', 12 * MIB));
    const point = await backUp(vault, disk);

    const back = await restored(vault, point, disk.size);
    await vault.close();

    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
  });

  it('stops at once when it is cancelled, and goes on without sending again', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store, { workers: 1 });
    const disk = new MemoryDisk(20 * MIB);
    disk.write(0, seededBytes('c', 20 * MIB));
    const cancel = new AbortController();
    const writer = await vault.beginPoint(VM, signal);
    const source = {
      diskId: DISK,
      name: 'system',
      sizeBytes: disk.size,
      reader: disk.reader(),
      changes: FULL,
    };
    const report = ({ doneBytes }: { doneBytes: number }) => {
      if (doneBytes > 8 * MIB) {
        cancel.abort();
      }
    };

    await expect(writer.addDisk(source, { signal: cancel.signal, report })).rejects.toMatchObject({
      name: 'AbortError',
    });
    await writer[Symbol.asyncDispose]();
    await vault.close();

    let uploaded = 0;
    for await (const { size } of store.list('d/', signal)) {
      uploaded += size;
    }
    expect(uploaded).toBeGreaterThan(0);
    const next = await openVault(store);
    const point = await backUp(next, disk);
    expect(point.disks[0]?.statistics.storedBytes).toBeLessThanOrEqual(disk.size * 1.01 - uploaded);
  });
});
