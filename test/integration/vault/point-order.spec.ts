import { SystemClock } from '../../../src/kernel/clock.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { retiredPoints } from '../../../src/vault/retention/named-points.ts';
import { measureVault } from '../../../src/vault/collect/plans/point-usage.ts';
import { revivePoint } from '../../../src/vault/retention/reviving.ts';
import { MemoryObjectStore } from '../../support/vault/memory-object-store.ts';
import { broughtBackNote } from '../../../src/vault/points/point-order.ts';
import { newUlid } from '../../../src/vault/bytes/ulid.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { seededNumbers } from '../../support/random/seeded-numbers.ts';
import { backUp, createVault, DISK, openVault, signal, VM } from '../../support/vault/vault-lab.ts';

const YEAR_MS = 365 * 86_400_000;

/** Shows the time that it is told to. */
class SetClock extends SystemClock {
  ms = Date.UTC(2026, 10, 30);

  override nowMs(): number {
    return this.ms;
  }
}

const DISK_BYTES = 16 * 4096;
const NOTHING = { method: 'changed-extents', extents: [] } as const;

function diskOf(content: number): MemoryDisk {
  const disk = new MemoryDisk(DISK_BYTES);
  disk.write(0, seededBytes(`content ${content}`, 4096));
  return disk;
}

/** Revives a point as earlier programs did: under an id of that day. */
async function reviveAsBefore(vault: Vault, id: string, nowMs: number): Promise<void> {
  const { points } = vault.inside;
  const { document } = await points.load({ vmId: VM.vmId, id }, signal);
  const { parent, ...rest } = document;
  expect(parent).toBeDefined();
  const back = { ...rest, id: newUlid(nowMs), notes: [...rest.notes, broughtBackNote(id)] };
  await points.seal(back, await points.put(back, signal), signal);
}

describe('the order of points', () => {
  it.each(Array.from({ length: 4 }, (_, seed) => seed))(
    'is that of their contents, whatever clocks, retirements and revivals did (seed %i)',
    async (seed) => {
      const chance = seededNumbers(seed);
      const clock = new SetClock();
      const store = new MemoryObjectStore();
      const { vault } = await createVault(store, { clock });
      /** Which content each point has: contents are numbered as they were taken. */
      const contents = new Map<string, number>();
      const expectOrder = async (): Promise<string[]> => {
        const listed = (await vault.points(signal)).map(({ id }) => id);
        const taken = listed.map((id) => contents.get(id) ?? -1);
        expect(taken).toEqual(taken.toSorted((a, b) => a - b));
        return listed;
      };
      let content = 0;
      for (let step = 0; step < 30; step++) {
        clock.ms += chance(3) === 0 ? (chance(41) - 20) * YEAR_MS : chance(5);
        clock.ms = Math.max(clock.ms, 0);
        const before = await expectOrder();
        const what = chance(10);
        if (what < 5) {
          const point = await backUp(vault, diskOf(content));
          expect(point.parentId).toBe(before.at(-1));
          contents.set(point.id, content++);
        } else if (what < 8) {
          const id = before[chance(Math.max(1, before.length))];
          if (id !== undefined) {
            await vault.retire(id, signal);
          }
        } else {
          const retired = await retiredPoints(vault.inside, signal);
          const name = retired[chance(Math.max(1, retired.length))];
          if (name !== undefined) {
            const back = await revivePoint(vault.inside, name, {}, { signal });
            contents.set(back.id, contents.get(name.id) ?? -1);
          }
        }
      }
      const listed = await expectOrder();
      const opened = await openVault(store);
      expect((await opened.points(signal)).map(({ id }) => id)).toEqual(listed);
      await opened.close();
      await vault.close();
    },
  );

  it('is kept by a point that comes back, but its origin is not: no policy gives it up again', async () => {
    const { vault } = await createVault(new MemoryObjectStore());
    const origin = { kind: 'policy', policy: 'p', run: 'r' } as const;
    const old = await backUp(vault, diskOf(0), { origin });
    await backUp(vault, diskOf(1), { origin });
    await vault.retire(old.id, signal);

    await revivePoint(vault.inside, old, {}, { signal });

    expect((await vault.points(signal)).map((point) => point.origin)).toEqual([undefined, origin]);
    await vault.close();
  });

  it.each(['now', 'before'])(
    'is not changed by an old point that comes back, nor is the next backup (as %s)',
    async (how) => {
      const { vault } = await createVault(new MemoryObjectStore());
      await backUp(vault, diskOf(0));
      const old = await backUp(vault, diskOf(1));
      const newest = await backUp(vault, diskOf(2));
      await vault.retire(old.id, signal);
      if (how === 'now') {
        await revivePoint(vault.inside, old, {}, { signal });
      } else {
        await reviveAsBefore(vault, old.id, Date.now() + 1000);
      }

      const listed = await vault.points(signal);
      const next = await backUp(vault, diskOf(2), { changes: NOTHING });

      expect(listed).toHaveLength(3);
      expect(listed[1]?.notes).toEqual([broughtBackNote(old.id)]);
      expect(listed.at(-1)?.id).toBe(newest.id);
      expect(next.parentId).toBe(newest.id);
      expect(next.disks[0]).toMatchObject({ method: 'changed-extents' });
      expect((await vault.points(signal)).at(-1)?.id).toBe(next.id);
      const usage = await measureVault(vault.inside, { signal });
      expect(usage.points.map(({ id }) => id)).toEqual(
        (await vault.points(signal)).map(({ id }) => id),
      );
      await vault.close();
    },
  );

  it('has the newest content at its end again when that was given up and came back', async () => {
    const { vault } = await createVault(new MemoryObjectStore());
    await backUp(vault, diskOf(0));
    const newest = await backUp(vault, diskOf(1));
    await vault.retire(newest.id, signal);
    const back = await revivePoint(vault.inside, newest, {}, { signal });

    const next = await backUp(vault, diskOf(1), { changes: NOTHING });

    expect(next.parentId).toBe(back.id);
    expect(next.disks[0]).toMatchObject({ diskId: DISK, method: 'changed-extents' });
    expect(back.takenAtMs).toBe(newest.takenAtMs);
    await vault.close();
  });
});
