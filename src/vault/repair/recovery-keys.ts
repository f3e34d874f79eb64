import { isFault } from '../../kernel/fault.ts';
import type { KeyObject } from '../keys/key-object.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { keyObjects, readKeyObject } from '../access/key-search.ts';
import type { VaultInside } from '../vault-inside.ts';

export type KeyThere = KeyObject & { readonly key: ObjectKey };

/** Returns the readable objects under `keys/`. */
export async function keysAt(store: ObjectStore, signal: AbortSignal): Promise<KeyThere[]> {
  const found: KeyThere[] = [];
  for (const key of await keyObjects(store, signal)) {
    const object = await readKeyObject(store, key, signal);
    if (object !== undefined && !isFault(object)) {
      found.push({ ...object, key });
    }
  }
  return found;
}

/** Whether a recovery file opens this object. */
export function isRecovery({ kind, purpose }: KeyThere): boolean {
  return kind === 'recovery' && purpose === 'vault';
}

/**
 * Whether no recovery object is left. One goes only after another has taken its place, so if there
 * is none, keys were lost and not removed.
 */
export async function lacksRecovery(store: ObjectStore, signal: AbortSignal): Promise<boolean> {
  return !(await keysAt(store, signal)).some(isRecovery);
}

/**
 * Returns objects of the copy that its recovery file opens, if the vault has none. The object that
 * ends the lack comes last.
 */
export async function lostRecoveryKeys(
  { base, format }: Pick<VaultInside, 'base' | 'format'>,
  copy: ObjectStore,
  signal: AbortSignal,
): Promise<ObjectKey[]> {
  if (!(await lacksRecovery(base.store, signal))) {
    return [];
  }
  return (await keysAt(copy, signal))
    .filter(({ kind, vaultId }) => kind === 'recovery' && vaultId === format.vaultId)
    .toSorted((a, b) => Number(isRecovery(a)) - Number(isRecovery(b)))
    .map(({ key }) => key);
}
