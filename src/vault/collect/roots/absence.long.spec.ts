import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Draw } from '../../../../test/support/draw.ts';
import { faultCodeOf } from '../../../../test/support/service/fault-code.ts';
import { LeavingOutStore } from '../../../../test/support/vault/leaving-out-store.ts';
import { seededBytes } from '../../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  openVault,
  signal,
} from '../../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../../test/support/disk/memory-disk.ts';
import { Clock, SystemClock } from '../../../kernel/clock.ts';
import { isFault } from '../../../kernel/fault.ts';
import { SilentLog } from '../../../kernel/log.ts';
import { vanishedPoints } from './left-out.ts';
import { PointRecord, type Remembered } from './point-record.ts';
import type { CollectOptions, CollectReport, CollectStep } from '../collect-options.ts';
import { collectVault } from '../collector.ts';
import { Holds } from '../../points/holds.ts';
import { planPrune } from '../plans/prune-plan.ts';
import { retirePoints } from '../../retention/retiring.ts';
import { CopyPruning } from '../../copy/copy-prune.ts';
import { folderOfVault } from '../../packs/footer-cache.ts';
import { pointKey, sealKey } from '../../format/object-names.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { MemoryObjectStore } from '../../../../test/support/vault/memory-object-store.ts';
import { keysOf } from '../../../../test/support/vault/vault-damage.ts';
import type { Vault } from '../../vault.ts';

const draw = new Draw('absence');
/** How many of the keys that can be left out are tried in each of three steps. */
const KEYS = 4;
const PREFIXES = ['s/', 's/chain/', 'hold/', 'hold/held/', 'alias/', 'retire/', 'd/', 'm/'];
const DAY_MS = 86_400_000;
/** Tidies everything that can be tidied. */
const RULES: CollectOptions = {
  youngMs: 0,
  mergeCount: 3,
  smallPackBytes: 100_000,
  liveShare: 0.95,
};

class MovedClock extends Clock {
  readonly #clock = new SystemClock();
  movedMs = 0;

  override nowMs(): number {
    return this.#clock.nowMs() + this.movedMs;
  }

  override monotonicMs(): number {
    return this.#clock.monotonicMs();
  }
}

const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) {
    await rm(folder, { recursive: true, force: true });
  }
});

/** Makes a machine with a cache of its own. */
async function newMachine(): Promise<{ cacheFolder: string; clock: MovedClock }> {
  const cacheFolder = await mkdtemp(join(tmpdir(), 'hyperkeep-absence-'));
  folders.push(cacheFolder);
  return { cacheFolder, clock: new MovedClock() };
}

function recordOf(cacheFolder: string, vault: Vault, store: ObjectStore): PointRecord {
  return new PointRecord(folderOfVault(cacheFolder, vault.id, store.identity), new SilentLog());
}

async function collect(vault: Vault, options: CollectOptions = {}): Promise<CollectReport> {
  return collectVault(vault.inside, { ...RULES, ...options }, { signal });
}

async function copyOf(store: ObjectStore): Promise<MemoryObjectStore> {
  const copy = new MemoryObjectStore();
  for (const key of await keysOf(store)) {
    await copy.put(key, (await store.get(key, signal)) ?? new Uint8Array(), signal);
  }
  return copy;
}

function diskOf(seed: string, bytes = 60_000): MemoryDisk {
  const disk = new MemoryDisk(100_000);
  disk.write(0, seededBytes(seed, bytes));
  return disk;
}

function vm(name: string): { vmId: string; vmName: string } {
  return { vmId: name, vmName: name };
}

interface Scene {
  readonly store: MemoryObjectStore;
  /** What a machine remembers that has listed the vault. */
  readonly remembered: Remembered;
  /** Points that stand. */
  readonly ids: readonly string[];
  readonly given: Readonly<Record<'first' | 'middle' | 'last' | 'held' | 'gone', string>>;
}

/**
 * A chain whose first point is given up, merged packs with aliases, and a held point that was
 * retired all the same.
 */
async function build(): Promise<Scene> {
  const store = new MemoryObjectStore();
  const machine = await newMachine();
  await createVault(store);
  const vault = await openVault(store, machine);
  const chain = diskOf('chain');
  const first = await backUp(vault, chain, { vm: vm('chain') });
  chain.write(60_000, seededBytes('second', 20_000));
  const second = await backUp(vault, chain, { vm: vm('chain') });
  chain.write(20_000, seededBytes('middle', 20_000));
  const middle = await backUp(vault, chain, { vm: vm('chain') });
  chain.write(50_000, seededBytes('last', 20_000));
  const last = await backUp(vault, chain, { vm: vm('chain') });
  const old = await backUp(vault, diskOf('old', 10_000), { vm: vm('old') });
  await vault.retire(old.id, signal);
  await collect(vault, { allPointsAreListed: true });
  const held = await backUp(vault, diskOf('held'), { vm: vm('held') });
  const { base, points, log } = vault.inside;
  await new Holds(base, log).hold(points, held, { reason: 'court', atMs: 1 }, signal);
  await points.retire(held, 1, signal);
  const gone = await backUp(vault, diskOf('gone', 30_000), { vm: vm('gone') });
  await vault.retire(gone.id, signal);
  await vault.retire(first.id, signal);
  await planPrune(vault.inside, [], RULES, { signal });
  const remembered = await recordOf(machine.cacheFolder, vault, store).read();
  await vault.close();
  return {
    store,
    remembered,
    ids: [second.id, middle.id, last.id],
    given: {
      first: first.id,
      middle: middle.id,
      last: last.id,
      held: held.id,
      gone: gone.id,
    },
  };
}

let scene: Scene;

beforeAll(async () => {
  scene = await build();
});

/** A machine that has known the points for two days, with a store of its own. */
async function knowingMachine(): Promise<{
  inner: MemoryObjectStore;
  store: LeavingOutStore;
  vault: Vault;
  cacheFolder: string;
}> {
  const inner = await copyOf(scene.store);
  const store = new LeavingOutStore(inner);
  const { cacheFolder, clock } = await newMachine();
  clock.movedMs = 2 * DAY_MS;
  const vault = await openVault(store, { cacheFolder, clock });
  const { sinceMs = 0 } = scene.remembered;
  await recordOf(cacheFolder, vault, store).write({ ...scene.remembered, sinceMs });
  return { inner, store, vault, cacheFolder };
}

/** Expects that points that stand are whole, and that held points can be revived. */
async function expectWhole(store: ObjectStore): Promise<void> {
  const vault = await openVault(store);
  expect((await vault.points(signal)).map(({ id }) => id)).toEqual(scene.ids);
  for (const id of scene.ids) {
    expect((await vault.verify(id, 1, { signal })).problems).toEqual([]);
  }
  const { base, points, log } = vault.inside;
  const [hold] = await new Holds(base, log).list(signal);
  expect(hold?.id).toBe(scene.given.held);
  expect(await points.exists({ vmId: 'held', id: scene.given.held }, signal)).toBe(true);
  await vault.close();
}

async function collectKnowing(
  leavesOut: LeavingOutStore['leavesOut'],
  from?: CollectStep,
): Promise<{ inner: MemoryObjectStore; code: string }> {
  const { inner, store, vault } = await knowingMachine();
  if (from === undefined) {
    store.leavesOut = leavesOut;
  }
  const onStep = async (step: CollectStep): Promise<void> => {
    if (step === from) {
      store.leavesOut = leavesOut;
    }
  };
  let code = 'done';
  try {
    await collect(vault, { onStep });
  } catch (error) {
    if (!isFault(error)) {
      throw error;
    }
    code = error.code;
  }
  await vault.close();
  return { inner, code };
}

describe('a store whose lists leave something out', () => {
  it('has a collection that works when they leave out nothing', async () => {
    const { inner, code } = await collectKnowing(() => false);

    expect(code).toBe('done');
    expect(await keysOf(inner, `s/gone/`)).toEqual([]);
    await expectWhole(inner);
  });

  it('is tried with everything that can be left out', async () => {
    const kinds = new Set((await keysOf(scene.store)).map((key) => key.split('/')[0]));

    expect([...kinds].sort()).toEqual([
      'alias',
      'd',
      'fmt',
      'gc',
      'hold',
      'keys',
      'm',
      'retire',
      's',
    ]);
  });

  const STEPS = [undefined, 'listed', 'condemned'] as const;

  it.each(STEPS)('costs no point anything, whichever key it is (from %s on)', async (step) => {
    const codes = new Map<string, string>();
    const middleKey = pointKey('chain', scene.given.middle);
    for (const left of new Set([...draw.some(await keysToLeaveOut(), KEYS), middleKey])) {
      const { inner, code } = await collectKnowing((key) => key === left, step);
      codes.set(left, code);
      await expectWhole(inner);
    }
    const middle = codes.get(middleKey);
    expect(step === 'condemned' ? 'vault.list-incomplete' : middle).toBe('vault.list-incomplete');
  });

  it.each(STEPS)('costs no point anything, whichever prefix it is (from %s on)', async (step) => {
    for (const left of draw.some(PREFIXES, 3)) {
      const all = await collectKnowing((key) => key.startsWith(left), step);
      await expectWhole(all.inner);
      const one = await collectKnowing((_, prefix) => prefix === left, step);
      await expectWhole(one.inner);
    }
  });
});

/** Returns all keys that say what is needed, and one of each other kind. */
async function keysToLeaveOut(): Promise<string[]> {
  const keys = await keysOf(scene.store);
  const others = ['d/', 'm/', 'gc/', 'retire/'].map((prefix) =>
    keys.find((key) => key.startsWith(prefix)),
  );
  return [...keys.filter((key) => /^(?:s|hold|alias)\//.test(key)), ...others].filter(
    (key) => key !== undefined,
  );
}

describe('a machine that has not known the points of a vault for a day', () => {
  it('removes nothing, and does so a day later', async () => {
    const store = await copyOf(scene.store);
    const before = await keysOf(store);
    const machine = await newMachine();
    const vault = await openVault(store, machine);

    const first = await collect(vault);
    expect(first).toMatchObject({ standingPoints: 3, vms: 1, removedPacks: 0, removedPoints: [] });
    expect(first.waitsUntilMs).toBeGreaterThan(machine.clock.nowMs() + DAY_MS - 60_000);
    expect(await keysOf(store)).toEqual(before);
    machine.clock.movedMs = DAY_MS - 60_000;
    const plan = await planPrune(vault.inside, [], RULES, { signal });
    expect(plan).toMatchObject({ waitsUntilMs: first.waitsUntilMs, standingPoints: 3, vms: 1 });
    machine.clock.movedMs = DAY_MS + 60_000;
    const later = await collect(vault);

    expect(later.waitsUntilMs).toBeUndefined();
    expect(later.removedPoints).toHaveLength(2);
    await expectWhole(store);
  });

  it('removes nothing ever where it cannot remember anything', async () => {
    const vault = await openVault(await copyOf(scene.store));

    expect(await collect(vault)).toMatchObject({ waitsUntilMs: 'never', removedPacks: 0 });
  });

  it('begins anew when a part of what it knew is damaged', async () => {
    const { store, vault, cacheFolder } = await knowingMachine();
    const folder = join(folderOfVault(cacheFolder, vault.id, store.identity), 'points');
    const [name = ''] = await readdir(folder);
    await writeFile(join(folder, name), 'torn');

    expect((await collect(vault)).waitsUntilMs).toBeGreaterThan(0);
    expect((await recordOf(cacheFolder, vault, store).read()).points.size).toBe(6);
  });

  it('does not count what it knew of another vault at the same place', async () => {
    const { cacheFolder, clock } = await newMachine();
    clock.movedMs = 2 * DAY_MS;
    const other = await openVault(await copyOf(scene.store), { cacheFolder, clock });
    await collect(other);
    const store = new MemoryObjectStore();
    await createVault(store);
    const vault = await openVault(store, { cacheFolder, clock });
    await backUp(vault, diskOf('new'));

    expect((await collect(vault)).waitsUntilMs).toBeGreaterThan(0);
  });
});

describe('points that are not there', () => {
  it('stop a collection until somebody says that they are gone, once', async () => {
    const { inner, vault } = await knowingMachine();
    const { last } = scene.given;
    await inner.remove(sealKey('chain', last), signal);
    await inner.remove(pointKey('chain', last), signal);
    const before = await keysOf(inner);

    expect(await faultCodeOf(collect(vault))).toBe('vault.points-missing');
    expect(await faultCodeOf(collect(vault, { allPointsAreListed: true }))).toBe(
      'vault.points-missing',
    );
    expect(await keysOf(inner)).toEqual(before);
    const report = await collect(vault, { gonePoints: [last] });
    expect(report).toMatchObject({ standingPoints: 2, vms: 1 });
    expect((await collect(vault)).standingPoints).toBe(2);
  });

  it.each(['alias/', 'hold/'])(
    'and objects under %s, which nobody removes, stop it until somebody says that they are gone',
    async (prefix) => {
      const { inner, vault } = await knowingMachine();
      const [object = ''] = await keysOf(inner, prefix);
      await inner.remove(object, signal);
      const before = await keysOf(inner);

      const failed = collect(vault, { allPointsAreListed: true });

      await expect(failed).rejects.toMatchObject({
        code: 'vault.objects-missing',
        message: expect.stringContaining(`--these-objects-are-gone ${object}`) as string,
      });
      expect(await faultCodeOf(planPrune(vault.inside, [], RULES, { signal }))).toBe(
        'vault.objects-missing',
      );
      expect(await keysOf(inner)).toEqual(before);
      const told = { goneObjects: [object], allPointsAreListed: true };
      expect((await collect(vault, told)).standingPoints).toBe(3);
      expect((await collect(vault)).standingPoints).toBe(3);
    },
  );

  it('are no question where a hold was ended', async () => {
    const { inner, vault } = await knowingMachine();
    const { base, points, log } = vault.inside;
    const holds = new Holds(base, log);
    const [hold] = await holds.list(signal);
    assert(hold !== undefined);
    await holds.release(hold, 1, signal);

    await collect(vault);

    expect(await points.exists({ vmId: 'held', id: scene.given.held }, signal)).toBe(false);
    expect(await keysOf(inner, 'hold/')).toContain(hold.key);
  });

  it('are missed by machines that never saw them when a child or a seal names them', async () => {
    const parent = await copyOf(scene.store);
    await parent.remove(sealKey('chain', scene.given.middle), signal);
    await parent.remove(pointKey('chain', scene.given.middle), signal);
    const seal = await copyOf(scene.store);
    await seal.remove(pointKey('chain', scene.given.last), signal);
    const held = await copyOf(scene.store);
    const { base, log, points } = (await openVault(held)).inside;
    const last = { vmId: 'chain', id: scene.given.last };
    await new Holds(base, log).hold(points, last, { reason: '', atMs: 1 }, signal);
    await held.remove(sealKey('chain', last.id), signal);
    await held.remove(pointKey('chain', last.id), signal);

    for (const store of [parent, seal, held]) {
      const vault = await openVault(store);
      expect(await faultCodeOf(collect(vault, { allPointsAreListed: true }))).toBe(
        'vault.points-missing',
      );
    }
  });

  it('are missed when the caller knows them otherwise', async () => {
    const vault = await openVault(await copyOf(scene.store));
    const knownPoints = [{ vmId: 'x', id: scene.given.last.replace(/.$/, '0') }];
    const options = { knownPoints, allPointsAreListed: true };

    expect(await faultCodeOf(collect(vault, options))).toBe('vault.points-missing');
  });

  it('are no question when they were given up', async () => {
    const vault = await openVault(await copyOf(scene.store));
    const knownPoints = [{ vmId: 'gone', id: scene.given.gone }];

    await collect(vault, { allPointsAreListed: true });
    const again = await collect(vault, { knownPoints, allPointsAreListed: true });
    expect(again.removedPoints).toEqual([]);
  });
});

describe('what nothing explains', () => {
  it('is a vault of packs without one recovery point', async () => {
    const inner = await copyOf(scene.store);
    const store = new LeavingOutStore(inner);
    store.leavesOut = (key) => key.startsWith('s/') || key.startsWith('hold/');
    const machine = await newMachine();
    const vault = await openVault(store, machine);

    expect(await faultCodeOf(collect(vault))).toBe('vault.collect-unproven');
    expect(await faultCodeOf(planPrune(vault.inside, [], RULES, { signal }))).toBe(
      'vault.collect-unproven',
    );
    await expectWhole(inner);
  });

  it('is more than half of a vault, unless a point that was given up needed it', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    await backUp(vault, diskOf('small', 10_000), { vm: vm('small') });
    const large = await backUp(vault, diskOf('large', 90_000), { vm: vm('large') });
    await vault.retire(large.id, signal);
    const machine = await newMachine();
    const explained = await openVault(await copyOf(store), machine);
    await store.remove(sealKey('large', large.id), signal);
    await store.remove(pointKey('large', large.id), signal);
    const left = await openVault(store);

    expect((await collect(explained)).standingPoints).toBe(1);
    expect(await faultCodeOf(collect(left))).toBe('vault.collect-unproven');
    expect((await collect(left, { allPointsAreListed: true })).removedPacks).toBeGreaterThan(0);
  });
});

describe('what a machine remembers of the points', () => {
  const known = (...names: string[]): Remembered & { sinceMs: number } => ({
    points: new Set(names.map((name) => pointKey('vm', `01JD0000000000000000000${name}`))),
    gone: new Set(),
    holds: new Set(),
    aliases: new Set(),
    sinceMs: 5,
  });

  it('is what both of two processes learned at once', async () => {
    const { cacheFolder } = await newMachine();
    const record = (): PointRecord => new PointRecord(cacheFolder, new SilentLog());
    const [one, other] = [record(), record()];
    await record().write(known('AAA'));
    await one.read();
    await other.read();
    await one.write(known('AAA', 'BBB'));
    await other.write({ ...known('AAA', 'CCC'), sinceMs: 9 });

    const read = await record().read();
    expect([...read.points].sort()).toEqual([...known('AAA', 'BBB', 'CCC').points]);
    expect(read.sinceMs).toBe(5);
    const last = record();
    await last.read();
    await last.write(known('BBB'));
    expect((await record().read()).points).toEqual(known('BBB').points);
  });

  it('is nothing where the cache cannot be written', async () => {
    const { cacheFolder } = await newMachine();
    await writeFile(join(cacheFolder, 'points'), 'in the way');
    const record = new PointRecord(cacheFolder, new SilentLog());

    expect(await record.write(known('AAA'))).toBe(false);
    expect((await record.read()).sinceMs).toBeUndefined();
  });
});

describe('a catalog that forgets what a vault does not list', () => {
  it('does so when it was given up or is gone, not when the list leaves it out', async () => {
    const inner = await copyOf(scene.store);
    const store = new LeavingOutStore(inner);
    const vault = await openVault(store);
    const { points } = vault.inside;
    const { last, gone, middle } = scene.given;
    const [inChain, dead] = [
      { vmId: 'chain', id: last },
      { vmId: 'gone', id: gone },
    ];
    const listed = (): Promise<{ id: string }[]> => vault.points(signal);

    expect(await vanishedPoints(points, [inChain, dead], await listed(), signal)).toEqual([]);
    store.leavesOut = (key) => key.includes(last);
    const leftOut = vanishedPoints(points, [inChain, dead], await listed(), signal);
    expect(await faultCodeOf(leftOut)).toBe('vault.list-incomplete');
    store.leavesOut = () => false;
    await inner.remove(sealKey('chain', last), signal);
    await inner.remove(pointKey('chain', last), signal);
    const known = [inChain, { vmId: 'chain', id: middle }];
    expect(await vanishedPoints(points, known, await listed(), signal)).toEqual([inChain]);
  });
});

describe('a copy that follows its source', () => {
  it('is not pruned when its lists leave out a point that the source shows', async () => {
    const source = await copyOf(scene.store);
    const target = new LeavingOutStore(await copyOf(scene.store));
    const pruning = new CopyPruning(source, (await openVault(target)).inside, { signal });

    expect((await pruning.plan()).points).toEqual([]);
    target.leavesOut = (key) => key.includes(scene.given.last);
    expect(await faultCodeOf(pruning.plan())).toBe('vault.list-incomplete');
  });
});

describe('giving points up', () => {
  it('does not overlook a hold that one list leaves out', async () => {
    const inner = await copyOf(scene.store);
    const store = new LeavingOutStore(inner);
    const { inside } = await openVault(store);
    const last = { vmId: 'chain', id: scene.given.last };
    await new Holds(inside.base, inside.log).hold(
      inside.points,
      last,
      { reason: 'court', atMs: 1 },
      signal,
    );
    store.leavesOut = (_, prefix) => prefix === 'hold/';

    expect(await faultCodeOf(retirePoints(inside, [last], { signal }))).toBe('vault.point-held');
  });
});
