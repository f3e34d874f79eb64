import { Fault } from '../../kernel/fault.ts';
import { claimedVault, refuseToCopy } from '../control/format-object.ts';
import { PREFIXES } from '../format/object-names.ts';
import { newestNumbered } from '../format/numbered-objects.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';

/**
 * Returns the vault that a store claims to hold, by its newest format object; not proven without a
 * key.
 * @throws Fault `vault.format-newer`
 */
export async function vaultAt(
  store: ObjectStore,
  signal: AbortSignal,
): Promise<string | undefined> {
  const newest = await newestNumbered(store, PREFIXES.format, signal);
  const object = newest === undefined ? undefined : await store.get(newest, signal);
  if (newest === undefined || object === undefined) {
    return undefined;
  }
  const { vaultId } = claimedVault(newest, object);
  refuseToCopy(newest, object);
  return vaultId.toString('hex');
}

/**
 * Returns the id of the source's vault, and whether the target is empty. A target that is not empty
 * must hold a copy of the same vault.
 * @throws Fault `vault.not-found`, `vault.not-empty`, `vault.format-newer`, `copy.other-vault`,
 *   `copy.same-place`
 */
export async function checkPlaces(
  source: ObjectStore,
  target: ObjectStore,
  signal: AbortSignal,
): Promise<{ readonly vaultId: string; readonly isNew: boolean }> {
  if (source.identity === target.identity) {
    throw new Fault(
      'copy.same-place',
      `The copy would be made into the vault itself (${target.location}). Name another place.`,
    );
  }
  const vaultId = await vaultAt(source, signal);
  if (vaultId === undefined) {
    throw new Fault(
      'vault.not-found',
      `There is no vault at ${source.location}. Check the location.`,
      { location: source.location },
    );
  }
  const there = await vaultAt(target, signal);
  if (there === undefined) {
    await refuseNonEmpty(source, target, signal);
  } else if (there !== vaultId) {
    throw new Fault(
      'copy.other-vault',
      `There is another vault at ${target.location}. Nothing was changed; choose an empty place for the copy.`,
      { location: target.location },
    );
  }
  return { vaultId, isNew: there === undefined };
}

/**
 * A copy writes key objects first and then the format, so a target without a format may hold only
 * key objects.
 */
async function refuseNonEmpty(
  source: ObjectStore,
  target: ObjectStore,
  signal: AbortSignal,
): Promise<void> {
  const expected = await keysOf(source, PREFIXES.keys, signal);
  for await (const { key } of target.list('', signal)) {
    if (expected.has(key)) {
      continue;
    }
    throw new Fault(
      'vault.not-empty',
      `${target.location} holds something that is no vault (there is ${key}). Choose an empty folder or prefix for the copy.`,
      { location: target.location },
    );
  }
}

/** Objects that only a collector writes and that nobody removes. */
const COLLECTED = [PREFIXES.condemned, 'alias/'] as const;

/**
 * Refuses a target in which somebody collected space: that collector did not know the points still
 * to come, so it may have condemned packs that they need. These objects are permanent, and the
 * source is listed later, so an object that only the target has is the target's own.
 * @throws Fault `copy.target-collected`
 */
export async function refuseCollected(
  source: ObjectStore,
  target: ObjectStore,
  signal: AbortSignal,
): Promise<void> {
  for (const prefix of COLLECTED) {
    const there = await keysOf(target, prefix, signal);
    for await (const { key } of source.list(prefix, signal)) {
      there.delete(key);
    }
    const [own] = there;
    if (own !== undefined) {
      throw new Fault(
        'copy.target-collected',
        `Space was collected in the copy at ${target.location} itself (${own}), so it goes its own way now: packs that further recovery points need may be on their way out. Copy to a new place.`,
        { location: target.location, key: own },
      );
    }
  }
}

export async function keysOf(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): Promise<Set<ObjectKey>> {
  const keys = new Set<ObjectKey>();
  for await (const { key } of store.list(prefix, signal)) {
    keys.add(key);
  }
  return keys;
}
