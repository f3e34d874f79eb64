import { Fault, isFault } from '../../kernel/fault.ts';
import {
  wrapWithPassphrase,
  wrapWithRecovery,
  type KeyObject,
  type Wrapping,
  type KdfCost,
} from '../keys/key-object.ts';
import { sameBytes } from '../keys/key-tree.ts';
import { PREFIXES } from '../format/object-names.ts';
import { nextNumbered } from '../format/numbered-objects.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { parseRecoveryFile } from '../keys/recovery-file.ts';
import { keyObjects, readKeyObject, unwrap } from './key-search.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';

/** Label of the objects that a recovery file opens. */
export const RECOVERY_LABEL = 'recovery file';

/** Secrets that may open a key object. */
export type NewUnlock = Exclude<VaultUnlock, { kind: 'master-key' }>;

/** Writes key objects, and reads back and opens each before anybody relies on it. */
export class KeyWriter {
  readonly #store: ObjectStore;
  readonly #cost: KdfCost;
  readonly #onPut: (key: ObjectKey) => void;

  /** @param onPut called with the key of an object before it is put */
  constructor(
    store: ObjectStore,
    cost: KdfCost,
    onPut: (key: ObjectKey) => void = () => undefined,
  ) {
    this.#onPut = onPut;
    this.#store = store;
    this.#cost = cost;
  }

  /** @throws Fault `vault.key-corrupt` if the object does not open as it was written */
  async put(wrapping: Wrapping, unlock: NewUnlock, signal: AbortSignal): Promise<ObjectKey> {
    const key = await nextNumbered(this.#store, PREFIXES.keys, signal);
    const object =
      unlock.kind === 'passphrase'
        ? await wrapWithPassphrase(key, wrapping, unlock.passphrase, this.#cost)
        : wrapWithRecovery(key, wrapping, parseRecoveryFile(unlock.content));
    this.#onPut(key);
    await this.#store.put(key, object, signal);
    const stored = await readKeyObject(this.#store, key, signal);
    if (!(await this.#opens(key, stored, wrapping, unlock))) {
      throw new Fault(
        'vault.key-corrupt',
        `The new key object ${key} does not open as it was written. The keys before it are unchanged; check the store.`,
        { key },
      );
    }
    return key;
  }

  async #opens(
    key: ObjectKey,
    stored: KeyObject | Fault | undefined,
    { secret }: Wrapping,
    unlock: NewUnlock,
  ): Promise<boolean> {
    if (stored === undefined || isFault(stored)) {
      return false;
    }
    const opened = await unwrap(key, stored, unlock);
    return opened !== undefined && sameBytes(opened, secret);
  }
}

/**
 * Finds the object, apart from one, that wraps exactly this under this label and that the
 * passphrase opens.
 */
export async function findPassphrase(
  store: ObjectStore,
  unlock: NewUnlock,
  {
    purpose,
    label,
    secret,
    besides,
  }: Pick<Wrapping, 'purpose' | 'label' | 'secret'> & {
    readonly besides: ObjectKey | undefined;
  },
  signal: AbortSignal,
): Promise<ObjectKey | undefined> {
  for (const key of await keyObjects(store, signal)) {
    const object = key === besides ? undefined : await readKeyObject(store, key, signal);
    if (object === undefined || isFault(object) || object.kind !== 'passphrase') {
      continue;
    }
    // Opening costs an Argon2 run.
    const isLike = object.purpose === purpose && object.label === label;
    const opened = isLike ? await unwrap(key, object, unlock) : undefined;
    if (opened !== undefined && sameBytes(opened, secret)) {
      return key;
    }
  }
  return undefined;
}
