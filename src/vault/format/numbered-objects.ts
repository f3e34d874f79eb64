import { numberedKey, numberOf } from './object-names.ts';
import { OBJECT_NUMBER_MAX } from './limits.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';

/** Returns the object with the highest number under a prefix such as `fmt/`. */
export async function newestNumbered(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): Promise<ObjectKey | undefined> {
  let newest: { readonly key: ObjectKey; readonly number: number } | undefined;
  for await (const { key } of store.list(prefix, signal)) {
    const number = numberOf(key);
    if (number !== undefined && number > (newest?.number ?? -1)) {
      newest = { key, number };
    }
  }
  return newest?.key;
}

/**
 * Returns a key with a higher number than all that are there. Two calls at once may get the same
 * number, and if somebody used the highest possible number, every call gets it: the random part
 * tells the keys apart.
 */
export async function nextNumbered(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): Promise<ObjectKey> {
  const newest = await newestNumbered(store, prefix, signal);
  const number = newest === undefined ? 0 : (numberOf(newest) ?? 0);
  return numberedKey(prefix, Math.min(number + 1, OBJECT_NUMBER_MAX));
}
