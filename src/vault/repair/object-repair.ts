import { isFault } from '../../kernel/fault.ts';
import { ExcludedSlots } from '../points/excluded-slots.ts';
import { pointKey, PREFIXES, sealKey } from '../format/object-names.ts';
import { getOrDamage, isSame } from '../format/object-limit.ts';
import { nextNumbered } from '../format/numbered-objects.ts';
import { encodeFormat } from '../control/format-object.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { Packs } from '../packs/packs.ts';
import { PointStore } from '../points/point-store.ts';
import { verifies } from '../checks/control-check.ts';
import { pointPacks } from '../checks/point-packs.ts';
import type { VaultInside } from '../vault-inside.ts';
import { MergedStore } from '../store/merged-store.ts';
import { lostRecoveryKeys } from './recovery-keys.ts';

/** What was done about a small object that is missing or damaged. */
export interface ObjectRepair {
  readonly key: ObjectKey;
  readonly was: 'missing' | 'damaged';
  readonly outcome: 'copied' | 'overwritten' | 'written-anew' | 'left';
  /** Why nothing was done. */
  readonly why?: string;
}

export interface ObjectRepairOptions {
  readonly apply: boolean;
  readonly overwrite: boolean;
}

const NOT_ASKED = 'nothing is overwritten unless it is asked for';

/**
 * Prefixes of lists and marks. Points come last, when what they need is back. Packs are repaired
 * elsewhere, and passphrases come from people.
 */
const LISTED = [
  PREFIXES.format,
  PREFIXES.condemned,
  PREFIXES.damaged,
  PREFIXES.aliases,
  PREFIXES.retired,
  PREFIXES.holds,
] as const;

/**
 * Restores objects that are missing here and verify in the copy. A damaged object keeps its bytes
 * unless the caller says otherwise; only a format is rewritten, because the newest one counts.
 */
export async function repairObjects(
  inside: VaultInside,
  copy: ObjectStore,
  options: ObjectRepairOptions,
  signal: AbortSignal,
): Promise<ObjectRepair[]> {
  const repairs: ObjectRepair[] = [];
  const wanted = [await lostRecoveryKeys(inside, copy, signal)];
  for (const prefix of LISTED) {
    wanted.push(await keysIn(copy, prefix, signal));
  }
  for (const keys of wanted) {
    for (const key of keys) {
      const repair = await repairObject(inside, copy, { ...options, key }, signal);
      if (repair !== undefined) {
        repairs.push(repair);
      }
    }
  }
  return [...repairs, ...(await repairPoints(inside, copy, options, signal))];
}

async function keysIn(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): Promise<ObjectKey[]> {
  const entries = await Array.fromAsync(store.list(prefix, signal));
  return entries.map(({ key }) => key);
}

async function repairObject(
  inside: VaultInside,
  copy: ObjectStore,
  { key, apply, overwrite }: ObjectRepairOptions & { readonly key: ObjectKey },
  signal: AbortSignal,
): Promise<ObjectRepair | undefined> {
  const { base } = inside;
  const here = await getOrDamage(base.store, key, signal);
  if (here !== undefined && verifies(inside.base.keys, key, here)) {
    return undefined;
  }
  const was = here === undefined ? 'missing' : 'damaged';
  const there = await verifiedCopy(inside, copy, key, signal);
  if (there === undefined) {
    return here === undefined
      ? undefined
      : { key, was, outcome: 'left', why: 'the copy of it does not verify either' };
  }
  if (was === 'damaged' && key.startsWith(PREFIXES.format)) {
    return writeFormatAnew(inside, { key, apply }, signal);
  }
  if (was === 'damaged' && !overwrite) {
    return { key, was, outcome: 'left', why: NOT_ASKED };
  }
  if (apply) {
    await base.store.put(key, there, signal);
  }
  return { key, was, outcome: was === 'missing' ? 'copied' : 'overwritten' };
}

async function verifiedCopy(
  inside: VaultInside,
  copy: ObjectStore,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const object = await getOrDamage(copy, key, signal);
  return object !== undefined && !isFault(object) && verifies(inside.base.keys, key, object)
    ? object
    : undefined;
}

/**
 * Writes one more format: the highest number counts, so this is as good as mending the last one.
 */
async function writeFormatAnew(
  { base, format }: VaultInside,
  { key, apply }: { readonly key: ObjectKey; readonly apply: boolean },
  signal: AbortSignal,
): Promise<ObjectRepair> {
  const next = await nextNumbered(base.store, PREFIXES.format, signal);
  if (apply) {
    await base.store.put(next, encodeFormat(base.keys, next, format), signal);
  }
  return { key, was: 'damaged', outcome: 'written-anew' };
}

/**
 * Restores points and seals that are missing here and whole in the copy. It does not if the point
 * was retired or a collector has condemned a slot of it: then the absence may be meant, and its
 * packs are not safe.
 */
async function repairPoints(
  inside: VaultInside,
  copy: ObjectStore,
  { apply, overwrite }: ObjectRepairOptions,
  signal: AbortSignal,
): Promise<ObjectRepair[]> {
  const { base, log } = inside;
  const points = {
    here: new PointStore(base, log),
    there: new PointStore({ ...base, store: copy }, log),
  };
  // Points retired before the retention key changed are on a list that an older copy lacks.
  const retired = new PointStore({ ...base, store: new MergedStore(copy, base.store) }, log);
  const repairs: ObjectRepair[] = [];
  for (const name of await points.there.sealed(signal)) {
    if (
      (await damageOfPoint(points.here, name, signal)) === undefined ||
      (await retired.isRetired(name, signal)) ||
      (await points.here.isRetired(name, signal))
    ) {
      continue;
    }
    const why = await reasonToLeave(inside, copy, { points: points.there, name }, signal);
    for (const key of [pointKey(name.vmId, name.id), sealKey(name.vmId, name.id)]) {
      const options = { apply, overwrite, key, ...(why === undefined ? {} : { why }) };
      const repair = await repairFrom(base.store, copy, options, signal);
      if (repair !== undefined) {
        repairs.push(repair);
      }
    }
  }
  return repairs;
}

/** Restores one half of a point whose copy is whole. */
async function repairFrom(
  store: ObjectStore,
  copy: ObjectStore,
  options: ObjectRepairOptions & { readonly key: ObjectKey; readonly why?: string },
  signal: AbortSignal,
): Promise<ObjectRepair | undefined> {
  const { key, apply, overwrite } = options;
  const mine = await getOrDamage(store, key, signal);
  const theirs = await getOrDamage(copy, key, signal);
  if (theirs === undefined || isFault(theirs) || isSame(mine, theirs)) {
    return undefined;
  }
  const was = mine === undefined ? 'missing' : 'damaged';
  const why = options.why ?? (was === 'damaged' && !overwrite ? NOT_ASKED : undefined);
  if (why !== undefined) {
    return { key, was, outcome: 'left', why };
  }
  if (apply) {
    await store.put(key, theirs, signal);
  }
  return { key, was, outcome: was === 'missing' ? 'copied' : 'overwritten' };
}

type Name = Parameters<PointStore['load']>[0];

async function damageOfPoint(
  points: PointStore,
  name: Name,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await points.load(name, signal);
    return undefined;
  } catch (error) {
    if (isFault(error) && (error.kind === 'integrity' || error.kind === 'not-found')) {
      // The message says why it does not verify.
      return error.message;
    }
    throw error;
  }
}

async function reasonToLeave(
  { base, log }: VaultInside,
  copy: ObjectStore,
  { points, name }: { readonly points: PointStore; readonly name: Name },
  signal: AbortSignal,
): Promise<string | undefined> {
  const damage = await damageOfPoint(points, name, signal);
  if (damage !== undefined) {
    return 'the copy of it is not whole either';
  }
  const excluded = new ExcludedSlots(base, log);
  await excluded.readCondemned(signal);
  if (excluded.condemned.isEmpty) {
    return undefined;
  }
  const merged = { ...base, store: new MergedStore(base.store, copy) };
  const { document } = await points.load(name, signal);
  const nodes = new MapNodes(merged, new Packs(merged));
  const packs = await pointPacks({ base: merged, nodes }, document, signal);
  return packs.some(({ ulid }) => excluded.condemned.touches(ulid))
    ? 'a collector has condemned something that it needs; the point may have been removed on purpose'
    : undefined;
}
