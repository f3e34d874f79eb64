import { FaultyObjectStore } from '../../../test/support/vault/faulty-object-store.ts';
import { faultCodeOf } from '../../../test/support/service/fault-code.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { encodeControl } from '../control/control-object.ts';
import { numberedKey, parsePackKey, pointKey } from '../format/object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { keysOf } from '../../../test/support/vault/vault-damage.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { Vault } from '../vault.ts';
import type { CollectOptions, CollectReport, CollectStep } from './collect-options.ts';
import { collectVault } from './collector.ts';
import { DeadSlots } from './slots/dead-slots.ts';
import { Holds } from '../points/holds.ts';
import { Marking } from './roots/marking.ts';
import { RootMarking } from './roots/root-marking.ts';
import { revivePoint } from '../retention/reviving.ts';

/*
 * Each rule of docs/vault-format.md, section 10.1, with what goes wrong without it.
 */

const ALL: CollectOptions = {
  youngMs: 0,
  mergeCount: 2,
  smallPackBytes: 100_000,
  liveShare: 0.95,
  allPointsAreListed: true,
};
const ONE_PACK = { parameters: { packBytes: 2 ** 20 } };

class Died extends Error {}

async function collect(vault: Vault, options: CollectOptions = {}): Promise<CollectReport> {
  return collectVault(vault.inside, { ...ALL, ...options }, { signal });
}

/** Does something the first time that a step is reached. */
function at(wanted: CollectStep, what: (key: string) => Promise<void>): CollectOptions {
  let isDone = false;
  return {
    onStep: async (step, key = '') => {
      if (step === wanted && !isDone) {
        isDone = true;
        await what(key);
      }
    },
  };
}

async function die(): Promise<void> {
  throw new Died();
}

function diskOf(...seeds: string[]): MemoryDisk {
  const disk = new MemoryDisk(1_200_000);
  for (const [index, seed] of seeds.entries()) {
    disk.write(index * 204_800, seededBytes(seed, 204_800));
  }
  return disk;
}

function vm(name: string): { vmId: string; vmName: string } {
  return { vmId: name, vmName: name };
}

async function condemn(vault: Vault, ulids: readonly string[]): Promise<void> {
  const { base } = vault.inside;
  const slots = new SlotSet();
  for (const ulid of ulids) {
    slots.add(ulid, 'all');
  }
  const key = numberedKey('gc/', 77);
  await base.store.put(key, encodeControl(base.keys, 'condemned', key, slots.encode()), signal);
}

function ulidsOf(keys: readonly string[]): string[] {
  return keys.map((key) => parsePackKey(key)?.ulid ?? '');
}

describe('a collection', () => {
  // G0.d.
  it('keeps a held point, also when it was retired all the same', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const point = await backUp(vault, diskOf('a'), { vm: vm('a') });
    const { base, points, log } = vault.inside;
    await new Holds(base, log).hold(points, point, { reason: 'court', atMs: 1 }, signal);
    expect(await faultCodeOf(vault.retire(point.id, signal))).toBe('vault.point-held');
    await points.retire(point, 1, signal);

    expect(await collect(vault)).toMatchObject({ removedPacks: 0, removedPoints: [] });

    const [hold] = await new Holds(base, log).list(signal);
    expect(hold).toMatchObject({ id: point.id, reason: 'court' });
    expect((await revivePoint(vault.inside, point, {}, { signal })).vmId).toBe('a');
  });

  // W4.a.
  it('does not take a hold for one that came after the point was retired', async () => {
    const { vault } = await createVault();
    const point = await backUp(vault, diskOf('a'));
    const { base, points, log } = vault.inside;
    await points.retire(point, 1, signal);

    const late = new Holds(base, log).hold(points, point, { reason: '', atMs: 1 }, signal);

    expect(await faultCodeOf(late)).toBe('vault.point-retired');
  });

  // G0.d.
  it('takes a point without a seal for a root, until it is old', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const { id, vmId } = await backUp(vault, diskOf('a'), { vm: vm('a') });
    await store.remove(`${pointKey(vmId, id)}.ok`, signal);

    expect(await collect(vault)).toMatchObject({ removedPacks: 0, givenUpPoints: [] });
    const later = await collect(vault, { abandonedMs: -60_000 });

    expect(later.givenUpPoints).toMatchObject([{ id }]);
    expect(later.removedPacks).toBeGreaterThan(0);
  });

  // G0.e, G0.i.
  it('gives up at once what has no seal and cannot be read, so that it blocks no collection', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const { id, vmId } = await backUp(vault, diskOf('a'), { vm: vm('a') });
    const [pack = ''] = await keysOf(store, 'm/');
    await store.remove(pack, signal);

    // A sealed point may only be damaged, so nothing is removed.
    expect(await faultCodeOf(collect(await openVault(store)))).toBe('vault.collect-unsure');
    await store.remove(`${pointKey(vmId, id)}.ok`, signal);
    const report = await collect(await openVault(store));

    expect(report.removedPacks).toBeGreaterThan(0);
    expect(await keysOf(store, 'retire/')).toHaveLength(2);
  });

  // G3.d.
  it('keeps the old packs when somebody condemned the merged one', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = diskOf();
    for (const seed of ['a', 'b', 'c']) {
      disk.write(0, seededBytes(seed, 10_000));
      await backUp(vault, disk);
    }
    const before = [...(await keysOf(store, 'd/')), ...(await keysOf(store, 'm/'))];

    const report = await collect(vault, {
      onStep: async (step, key = '') => {
        if (step === 'merged-sent') {
          await condemn(vault, ulidsOf([key]));
        }
      },
    });

    expect(report.mergedPacks).toBe(0);
    const after = [...(await keysOf(store, 'd/')), ...(await keysOf(store, 'm/'))];
    expect(after).toEqual(expect.arrayContaining(before));
  });

  it.each([
    ['compacts', { ...ONE_PACK }, ['x', 'y', 'z', 'kept']],
    ['merges', {}, ['x']],
  ])(
    'copies what nobody condemned when it %s, although no point needs it',
    async (_how, options, seeds) => {
      const store = new MemoryObjectStore();
      const { vault } = await createVault(store, options);
      const gone = await backUp(vault, diskOf(...seeds, 'gone'), { vm: vm('gone') });
      const late = await backUp(vault, diskOf(...seeds), { vm: vm('late') });
      await backUp(vault, diskOf('kept'), { vm: vm('kept') });
      await vault.retire(gone.id, signal);

      const step = at('marked', async () => vault.retire(late.id, signal));
      await collect(vault, { ...step, smallPackBytes: 1_000_000 });

      const back = await revivePoint(vault.inside, late, {}, { signal });
      expect((await (await openVault(store)).verify(back.id, 3, { signal })).problems).toEqual([]);
    },
  );

  // G0.f.
  it('begins again when a point goes while its map is read', async () => {
    const inner = new MemoryObjectStore();
    const store = new FaultyObjectStore(inner);
    const { vault } = await createVault(store);
    const disk = diskOf('a', 'b');
    const gone = await backUp(vault, disk, { vm: vm('gone') });
    await vault.retire(gone.id, signal);
    const other = await openVault(inner);
    let parent = '';
    let child = '';
    const vanish = async (): Promise<void> => {
      const point = await other.point(parent, signal);
      disk.write(0, seededBytes('small change', 4096));
      const extents = [{ offset: 0, length: 4096, content: 'data' }] as const;
      const changes = { method: 'changed-extents', extents } as const;
      child = (await backUp(other, disk, { vm: vm('again'), changes })).id;
      await other.retire(parent, signal);
      await inner.remove(`${pointKey(point.vmId, point.id)}.ok`, signal);
      await inner.remove(pointKey(point.vmId, point.id), signal);
    };
    const get = store.get.bind(store);
    store.get = async (key, ...rest) => {
      if (parent !== '' && child === '' && key === pointKey('again', parent)) {
        await vanish();
      }
      return get(key, ...rest);
    };

    // After G0 and before G1: it deduplicates against what is about to be condemned.
    await collect(
      vault,
      at('marked', async () => {
        parent = (await backUp(other, disk, { vm: vm('again') })).id;
      }),
    );

    expect(child).not.toBe('');
    const fresh = await openVault(inner);
    expect((await fresh.verify(child, 3, { signal })).problems).toEqual([]);
  });

  // G0.e.
  it('takes no node for walked of a map that could not be read to its end', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    await backUp(vault, diskOf('other'), { vm: vm('other') });
    const { inside } = await openVault(store);
    const roots = new RootMarking(inside, inside.nodes, { signal });
    const before = await roots.mark();
    const earlier = new Set(await keysOf(store, ''));
    const disk = diskOf('a', 'b');
    const gone = await backUp(vault, disk, { vm: vm('again') });
    const [map = ''] = (await keysOf(store, 'm/')).filter((key) => !earlier.has(key));
    const changes = { method: 'changed-extents', extents: [] } as const;
    await backUp(vault, disk, { vm: vm('again'), changes });
    const bytes = (await store.get(map, signal)) ?? new Uint8Array();
    await store.remove(map, signal);
    const key = pointKey('again', gone.id);
    await store.remove(`${key}.ok`, signal);

    // The child uses the map of the point that is removed.
    const giveUp = async ({ id }: { readonly id: string }): Promise<boolean> => {
      expect(id).toBe(gone.id);
      await store.remove(key, signal);
      await store.put(map, bytes, signal);
      return true;
    };
    const { marking } = await roots.mark({ before, giveUp });

    const packs = (await keysOf(store, 'd/')).filter((pack) => !earlier.has(pack));
    expect(packs.length).toBeGreaterThan(0);
    const { live } = marking;
    expect(ulidsOf(packs).filter((ulid) => live.isEmpty(live.handle(ulid)))).toEqual([]);
  });

  it.each([
    ['a damaged map', 'm/', 'vault.collect-unsure'],
    ['a damaged recovery point', 's/', 'vault.collect-unsure'],
    ['a damaged list of what is condemned', 'gc/', 'vault.control-corrupt'],
    ['a damaged alias', 'alias/', 'vault.collect-unsure'],
  ])('removes nothing with %s', async (_what, prefix, code) => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    await backUp(vault, diskOf('a'), { vm: vm('a') });
    const [key = numberedKey(prefix, 1)] = await keysOf(store, prefix);
    const gone = await backUp(vault, diskOf('b'), { vm: vm('b') });
    await vault.retire(gone.id, signal);
    const bytes = (await store.get(key, signal)) ?? seededBytes('nonsense', 200);
    await store.remove(key, signal);
    await store.put(
      key,
      bytes.map((byte, index) => (index > 70 && index < 120 ? byte ^ 1 : byte)),
      signal,
    );
    const before = await keysOf(store, '');

    expect(await faultCodeOf(collect(await openVault(store)))).toBe(code);

    expect(await keysOf(store, '')).toEqual(before);
  });

  // G3.f.
  it('keeps the later of two generations', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store, ONE_PACK);
    const gone = await backUp(vault, diskOf('kept', 'x', 'y', 'z'), { vm: vm('gone') });
    const disk = diskOf('kept');
    const kept = await backUp(vault, disk, { vm: vm('kept') });
    await vault.retire(gone.id, signal);
    await expect(collect(vault, at('generation-sent', die))).rejects.toThrow(Died);
    const both = (await keysOf(store, 'd/')).filter((key) => key.includes('.1.'));
    expect(both).toHaveLength(1);

    await collect(vault);

    const [ulid = ''] = ulidsOf(both);
    expect((await keysOf(store, 'd/')).filter((key) => key.includes(ulid))).toEqual(both);
    const back = await restored(vault, kept, disk.size);
    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
  });

  // G2.b.
  it('counts a slot as dead only if it was condemned under all of its names', async () => {
    const { vault } = await createVault();
    const point = await backUp(vault, diskOf('a'));
    const { base, packs, nodes } = vault.inside;
    const [pack = ''] = ulidsOf(await keysOf(base.store, 'd/'));
    const old = point.id;
    await packs.aliases.write(
      [{ from: { ulid: old, slot: 4 }, to: { ulid: pack, slot: 1 }, count: 1 }],
      signal,
    );
    const marking = new Marking(nodes, packs.aliases, signal);
    const one = new SlotSet();
    one.add(pack, 'all');
    const all = new SlotSet();
    all.addAll(one);
    all.add(old, [{ first: 4, count: 1 }]);

    expect(new DeadSlots(one, one.changes, marking).has(pack, 1)).toBe(false);
    expect(new DeadSlots(one, one.changes, marking).has(pack, 0)).toBe(true);
    const dead = new DeadSlots(all, all.changes, marking);
    expect(dead.has(pack, 1)).toBe(true);
    all.add(old, [{ first: 7, count: 1 }]);
    expect(() => dead.has(pack, 1)).toThrow('condemned after G2 began');
  });
});

describe('what others know', () => {
  // G3.c.
  it('a host whose index knows slots that were compacted away stores them again', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store, ONE_PACK);
    const gone = await backUp(vault, diskOf('kept', 'x', 'y', 'z'), { vm: vm('gone') });
    const disk = diskOf('kept');
    const kept = await backUp(vault, disk, { vm: vm('kept') });
    await vault.retire(gone.id, signal);
    const other = await openVault(store);
    await collect(other);
    // It notices that the generation it knows is gone, and reads the footer of the next.
    await restored(vault, kept, disk.size);

    const again = await backUp(vault, diskOf('x', 'y', 'z'), { vm: vm('again') });

    expect((await other.verify(again.id, 3, { signal })).problems).toEqual([]);
  });

  // W4.b.
  it('a point does not come back when a collection overtakes it', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const point = await backUp(vault, diskOf('a'));
    await vault.retire(point.id, signal);
    const packs = ulidsOf(await keysOf(store, 'd/'));

    const reviving = revivePoint(
      vault.inside,
      point,
      {
        onStep: async (step) => {
          if (step === 'put') {
            await condemn(vault, packs);
          }
        },
      },
      { signal },
    );

    expect(await faultCodeOf(reviving)).toBe('vault.point-condemned');
    expect(await vault.points(signal)).toEqual([]);
    // What it put is retired, so the next collection leaves nothing.
    await collect(vault);
    expect(await keysOf(store, 'd/')).toEqual([]);
  });
});
