import type { Clock } from '../../kernel/clock.ts';
import { isFault } from '../../kernel/fault.ts';
import type { ObjectVersion } from '../store/bucket-features.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** Locks of the test end within this time. */
const PATIENCE_MS = 30_000;
const POLL_MS = 1000;

interface Waiting {
  readonly clock: Clock;
  readonly wait: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Removes everything under a prefix with all versions, and waits for locks to end.
 * @returns how many objects these credentials could not remove
 */
export async function sweep(
  store: ObjectStore,
  prefix: string,
  { clock, wait }: Waiting,
  signal: AbortSignal,
): Promise<number> {
  const endMs = clock.monotonicMs() + PATIENCE_MS;
  let before = Infinity;
  for (;;) {
    const left = await removeAll(store, prefix, signal);
    // A list may omit what lies under a name that is both object and folder: goes on as long as the
    // list shrinks.
    const goesOn = left.length > 0 && left.length < before;
    const waits = !goesOn && clock.monotonicMs() < endMs && (await areLocked(store, left, signal));
    if (!goesOn && !waits) {
      return left.length;
    }
    before = left.length;
    if (waits) {
      await wait(POLL_MS, signal);
    }
  }
}

interface Removable {
  readonly key: string;
  readonly versionId?: string;
}

/** @returns what is left */
async function removeAll(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): Promise<Removable[]> {
  for (const { key, versionId } of await versionsOf(store, prefix, signal)) {
    await tried(async () => {
      await (versionId === undefined
        ? store.remove(key, signal)
        : store.features?.removeVersion({ key, versionId }, { bypass: false }, signal));
    });
  }
  return versionsOf(store, prefix, signal);
}

/** Lists versions if there are any and listing them is allowed; otherwise plain objects. */
async function versionsOf(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): Promise<Removable[]> {
  const { features } = store;
  if (features !== undefined) {
    let versions: ObjectVersion[] = [];
    const listed = await tried(async () => {
      versions = await Array.fromAsync(features.listVersions(prefix, signal));
    });
    if (listed && versions.length > 0) {
      return versions;
    }
  }
  const entries = await Array.fromAsync(store.list(prefix, signal));
  return entries.map(({ key }) => ({ key }));
}

async function areLocked(
  { features }: ObjectStore,
  objects: readonly Removable[],
  signal: AbortSignal,
): Promise<boolean> {
  let locked = false;
  for (const { key, versionId } of features === undefined ? [] : objects) {
    const object = { key, ...(versionId === undefined ? {} : { versionId }) };
    await tried(async () => {
      locked ||= (await features?.lockOf(object, signal)) !== undefined;
    });
  }
  return locked;
}

/** Returns false if the store refused: a test goes on with what it may do. */
async function tried(operation: () => Promise<void>): Promise<boolean> {
  try {
    await operation();
    return true;
  } catch (error) {
    if (isFault(error) && error.kind !== 'unavailable') {
      return false;
    }
    throw error;
  }
}
