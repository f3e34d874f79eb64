import type { ObjectKey, ObjectStore } from '../../../src/vault/store/object-store.ts';
import { signal } from './vault-lab.ts';

/** What is done to the bytes of an object; undefined removes it. */
export type Damage = (bytes: Uint8Array) => Uint8Array | undefined;

/** Flips a bit of the byte at `offset`, which counts from the end if it is negative. */
export const flip =
  (offset: number): Damage =>
  (bytes) => {
    const copy = Uint8Array.from(bytes);
    const at = offset < 0 ? bytes.length + offset : offset;
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };

export const cut =
  (length: number): Damage =>
  (bytes) =>
    bytes.subarray(0, length < 0 ? bytes.length + length : length);

export const remove: Damage = () => undefined;

/** Returns the keys below each prefix, one prefix after the other; without one, all keys. */
export async function keysOf(
  store: ObjectStore,
  ...prefixes: readonly string[]
): Promise<ObjectKey[]> {
  const keys: ObjectKey[] = [];
  for (const prefix of prefixes.length === 0 ? [''] : prefixes) {
    keys.push(...(await Array.fromAsync(store.list(prefix, signal))).map(({ key }) => key));
  }
  return keys;
}

export async function changeObject(store: ObjectStore, key: string, damage: Damage): Promise<void> {
  const bytes = await store.get(key, signal);
  const changed = damage(bytes ?? new Uint8Array());
  await store.remove(key, signal);
  if (changed !== undefined) {
    await store.put(key, changed, signal);
  }
}
