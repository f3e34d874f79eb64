import { MemoryDisk } from '../disk/memory-disk.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { collectVault } from '../../../src/vault/collect/collector.ts';
import type { CollectOptions } from '../../../src/vault/collect/collect-options.ts';
import { revivePoint } from '../../../src/vault/retention/reviving.ts';
import { VaultCopy } from '../../../src/vault/copy/vault-copy.ts';
import { VaultKeys } from '../../../src/vault/access/vault-keys.ts';
import { MemoryObjectStore } from './memory-object-store.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { MemoryProofLedger } from '../../../src/vault/checks/proof-ledger.ts';
import { scrub, type ScrubReport } from '../../../src/vault/checks/scrub.ts';
import { repairVault } from '../../../src/vault/repair/repair.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { changeObject, flip, keysOf } from './vault-damage.ts';
import { backUp, createVault, fingerprint, PASSPHRASE, restored, signal, VM } from './vault-lab.ts';

const clock = new SystemClock();
const KDF = { memoryKib: 64, passes: 1, lanes: 1 };
const SIZE = 2_000_000;
const SECTOR = 4096;
const PIECE = 12 * SECTOR;
/** A hole behind each piece: its chunks end with it, whatever comes later. */
const STRIDE = PIECE + SECTOR;
/** Bytes of a pack: inside the first frame, and inside the trailer. */
const FRAME = 300;
const TRAILER = -20;

/** A vault to try operations on, and what each of its points must restore to. */
export interface SeamWorld {
  readonly store: MemoryObjectStore;
  /** A copy of the vault; as old as the last `copy`. */
  readonly copy: MemoryObjectStore;
  readonly disk: MemoryDisk;
  /** Per point, the fingerprint of its disk. */
  readonly points: Map<string, string>;
  /** Of the separate retention key, when there is one. */
  retention: string | undefined;
  /** Pieces of the disk that were written; older ones are never written over. */
  pieces: number;
}

/**
 * An operation on a vault between two looks at it. The vault may have been opened before the
 * previous operation.
 */
export type SeamOperation = (world: SeamWorld, vault: Vault) => Promise<void>;

/** Two points that share most of what they have, and a copy. */
export async function newWorld(): Promise<SeamWorld> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(SIZE);
  const world: SeamWorld = {
    ...{ store, copy: new MemoryObjectStore(), disk, points: new Map() },
    ...{ retention: undefined, pieces: 0 },
  };
  for (let count = 0; count < 2; count++) {
    await write(world, 5);
    await take(world, vault);
  }
  await vault.close();
  await copyVault(world);
  return world;
}

/** Copies a world for another trial. */
export async function sameWorld(world: SeamWorld): Promise<SeamWorld> {
  const disk = new MemoryDisk(SIZE);
  const content = new Uint8Array(SIZE);
  await world.disk.reader().read(0, content, signal);
  disk.write(0, content.subarray(0, world.pieces * STRIDE));
  return {
    ...world,
    store: await sameObjects(world.store),
    copy: await sameObjects(world.copy),
    disk,
    points: new Map(world.points),
  };
}

export async function openWorld({ store, retention }: SeamWorld): Promise<Vault> {
  const unlock = (passphrase: string) => ({ kind: 'passphrase', passphrase }) as const;
  const more = retention === undefined ? {} : { retention: unlock(retention) };
  return Vault.open(store, unlock(PASSPHRASE), { workers: 0, ...more }, signal);
}

/** What a process sees that has nothing cached. */
export interface SeamLook {
  /** Points that verification and restore call damaged. */
  readonly unreadable: readonly string[];
  /**
   * What must never be: points that are gone or restore to something else, a verification that says
   * otherwise.
   */
  readonly wrong: readonly string[];
}

export async function lookAt(world: SeamWorld): Promise<SeamLook> {
  const vault = await openWorld(world);
  const unreadable: string[] = [];
  const wrong: string[] = [];
  const there = (await vault.points(signal)).map(({ id }) => id);
  if (there.toSorted().join() !== [...world.points.keys()].toSorted().join()) {
    wrong.push(`there are ${there.join()}, expected ${[...world.points.keys()].join()}`);
  }
  for (const [id, hash] of world.points) {
    const { problems } = await vault.verify(id, 3, { signal });
    const back = await fingerprintBack(vault, id);
    if (back === undefined) {
      unreadable.push(id);
    } else if (back !== hash) {
      wrong.push(`${id} gives back something else`);
    }
    if ((back === undefined) !== problems.length > 0) {
      const said = problems.map(({ message }) => message).join('; ');
      wrong.push(
        `${id} is ${back === undefined ? 'damaged' : 'whole'}, its verification says: ${said}`,
      );
    }
  }
  await vault.close();
  return { unreadable, wrong };
}

/** @returns undefined if the restore says that something is damaged */
async function fingerprintBack(vault: Vault, id: string): Promise<string | undefined> {
  try {
    return await fingerprint((await restored(vault, { id }, SIZE)).reader());
  } catch (error) {
    if (isFault(error) && error.kind === 'integrity') {
      return undefined;
    }
    throw error;
  }
}

/** Returns what is wrong with any point when everything must be whole. */
export async function problemsOf(world: SeamWorld): Promise<string[]> {
  const { unreadable, wrong } = await lookAt(world);
  return [...wrong, ...unreadable.map((id) => `${id} cannot be restored`)];
}

/**
 * Heals the damage that an operation of this name begins with. After a refusal, open the vault
 * again and repeat it.
 */
export const SEAM_MENDS = {
  repair: async ({ store }, vault) => {
    await repair(store, vault);
  },

  'repair from the copy': async ({ store, copy }, vault) => {
    await repair(store, vault, copy);
  },

  /** A scrub notices, and the next backup has all of the content. */
  heal: async (world, vault) => {
    await scrubOf(world.store, vault);
    await write(world, 1);
    await take(world, vault);
  },
} as const satisfies Record<string, SeamOperation>;

export function isDamaging(name: SeamName): name is keyof typeof SEAM_MENDS {
  return name in SEAM_MENDS;
}

export const SEAM_OPERATIONS = {
  'rotate keys': async (world) => {
    const keys = await openKeys(world);
    await keys.rotate([{ passphrase: PASSPHRASE, label: '' }], keep, signal);
  },

  'separate retention key': async (world) => {
    const keys = await openKeys(world);
    const passphrase = `retention ${String(world.points.size)} of ${world.retention ?? 'none'}`;
    await keys.separateRetention({ passphrase, label: '' }, keep, signal);
    world.retention = passphrase;
  },

  /** Of trailers, from what is left of each pack. */
  repair: async (world, vault) => {
    await damagePacks(world.store, ['d/', 'm/'], TRAILER, () => true);
    await SEAM_MENDS.repair(world, vault);
  },

  copy: async (world) => {
    await copyVault(world);
  },

  /** Of a frame of each pack that the copy has too. */
  'repair from the copy': async (world, vault) => {
    const known = new Set((await keysOf(world.copy, '')).map(packOf));
    await damagePacks(world.store, ['d/', 'm/'], FRAME, (key) => known.has(packOf(key)));
    await SEAM_MENDS['repair from the copy'](world, vault);
  },

  /** Of a frame of a pack, by the next backup; of another pack from time to time. */
  heal: async (world, vault) => {
    const packs = await keysOf(world.store, 'd/');
    const damaged = packs[world.points.size % packs.length] ?? '';
    await changeObject(world.store, damaged, flip(FRAME));
    await SEAM_MENDS.heal(world, vault);
  },

  revive: async (world, vault) => {
    const [[id, hash] = ['', '']] = world.points;
    await vault.retire(id, signal);
    world.points.delete(id);
    const { id: again } = await revivePoint(vault.inside, { ...VM, id }, {}, { signal });
    world.points.set(again, hash);
  },

  /** A point with content of its own is given up. */
  collect: async (world, vault) => {
    const id = await takeAndForget(world, vault, 3, 0);
    await vault.retire(id, signal);
    world.points.delete(id);
    await collect(vault, { rewriteBytes: 0 });
  },

  /** Half of a pack is needed by nobody any more. */
  compact: async (world, vault) => {
    const id = await takeAndForget(world, vault, 1, 1);
    await vault.retire(id, signal);
    world.points.delete(id);
    await collect(vault, { liveShare: 1, smallPackBytes: 0 });
  },

  merge: async (world, vault) => {
    for (let count = 0; count < 3; count++) {
      await write(world, 1);
      await take(world, vault);
    }
    await collect(vault, { mergeCount: 2, smallPackBytes: 2 ** 30, liveShare: 0 });
  },
} as const satisfies Record<string, SeamOperation>;
export type SeamName = keyof typeof SEAM_OPERATIONS;
export const SEAM_NAMES = Object.keys(SEAM_OPERATIONS) as SeamName[];

/** Returns what is wrong after these operations, each by a process that opens the vault again. */
export async function problemsAfter(
  world: SeamWorld,
  names: readonly SeamName[],
): Promise<string[]> {
  for (const name of names) {
    const vault = await openWorld(world);
    await SEAM_OPERATIONS[name](world, vault);
    await vault.close();
  }
  return problemsOf(world);
}

async function sameObjects(store: ObjectStore): Promise<MemoryObjectStore> {
  const same = new MemoryObjectStore();
  for (const key of await keysOf(store, '')) {
    await same.put(key, (await store.get(key, signal)) ?? new Uint8Array(), signal);
  }
  return same;
}

async function copyVault({ store, copy }: SeamWorld): Promise<void> {
  await new VaultCopy({ source: store, target: copy, clock }).run({ signal });
}

async function write(world: SeamWorld, pieces: number): Promise<void> {
  for (let count = 0; count < pieces; count++) {
    const bytes = seededBytes(`piece ${String(world.pieces)}`, PIECE);
    world.disk.write(world.pieces * STRIDE, bytes);
    world.pieces += 1;
  }
}

async function take(world: SeamWorld, vault: Vault): Promise<string> {
  const { id } = await backUp(vault, world.disk);
  world.points.set(id, await fingerprint(world.disk.reader()));
  return id;
}

/**
 * A point with content that is gone from the disk afterwards, beside some that stays. @returns its
 * id
 */
async function takeAndForget(
  world: SeamWorld,
  vault: Vault,
  gone: number,
  staying: number,
): Promise<string> {
  await write(world, staying);
  const at = world.pieces * STRIDE;
  const content = seededBytes(`gone ${String(world.points.size)} ${String(at)}`, gone * PIECE);
  world.disk.write(at, content);
  // Also when it is refused: what no disk has any more, no backup could heal in the points after
  // it.
  const id = await take(world, vault).finally(() => {
    world.disk.write(at, new Uint8Array(gone * PIECE));
  });
  await take(world, vault);
  return id;
}

async function collect(vault: Vault, options: CollectOptions): Promise<void> {
  await collectVault(
    vault.inside,
    { youngMs: 0, mergeCount: 1000, allPointsAreListed: true, ...options },
    { signal },
  );
}

const keep = async (content: string): Promise<string> => Promise.resolve(content);

async function openKeys({ store, retention }: SeamWorld): Promise<VaultKeys> {
  const unlock = (passphrase: string) => ({ kind: 'passphrase', passphrase }) as const;
  const more = retention === undefined ? {} : { retention: unlock(retention) };
  const unlocks = { vault: unlock(PASSPHRASE), ...more };
  return VaultKeys.open(store, unlocks, { clock, log: new SilentLog(), kdf: KDF }, signal);
}

/** All that the name of a pack has in common with those of its other generations. */
function packOf(key: string): string {
  return key.replace(/\..*$/, '');
}

async function damagePacks(
  store: ObjectStore,
  prefixes: readonly string[],
  offset: number,
  isHit: (key: string) => boolean,
): Promise<void> {
  for (const key of (await Promise.all(prefixes.map(async (p) => keysOf(store, p)))).flat()) {
    if (isHit(key)) {
      await changeObject(store, key, flip(offset));
    }
  }
}

async function scrubOf(store: ObjectStore, vault: Vault): Promise<ScrubReport> {
  const budget = { bytes: Infinity };
  return scrub(vault.inside, { ledger: new MemoryProofLedger(), budget }, { signal });
}

async function repair(store: ObjectStore, vault: Vault, copy?: ObjectStore): Promise<void> {
  const suspects = (await scrubOf(store, vault)).damaged.map(({ key }) => key);
  const options = { dryRun: false, suspects, ...(copy === undefined ? {} : { copy }) };
  await repairVault(vault.inside, options, { signal });
}
