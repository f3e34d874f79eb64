import { z } from 'zod';
import { isFault } from '../../kernel/fault.ts';
import { parseJson, demand } from '../bytes/binary.ts';
import { decodeControl, encodeControl, parseControlBody } from '../control/control-object.ts';
import { numberedKey, numberOf, PREFIXES } from '../format/object-names.ts';
import { OBJECT_NUMBER_MAX } from '../format/limits.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import type { KeyTree } from '../keys/key-tree.ts';

const Body = z.object({ doneMs: z.int().min(0) });

/**
 * Records until when locks were extended: docs/vault-format.md, section 16. If it is lost,
 * everything is extended once more, which costs requests.
 */
export class KeepLog {
  readonly #store: ObjectStore;
  readonly #keys: KeyTree;
  #objects: ObjectKey[] | undefined;

  constructor(store: ObjectStore, keys: KeyTree) {
    this.#store = store;
    this.#keys = keys;
  }

  /** Time until which everything due was extended; undefined if it is not known. */
  async doneMs(signal: AbortSignal): Promise<number | undefined> {
    let doneMs: number | undefined;
    for (const key of await this.#listed(signal)) {
      const read = await this.#read(key, signal);
      doneMs = read === undefined ? doneMs : Math.max(doneMs ?? 0, read);
    }
    return doneMs;
  }

  async write(doneMs: number, signal: AbortSignal): Promise<void> {
    const before = await this.#listed(signal);
    const number = Math.max(0, ...before.map((key) => numberOf(key) ?? 0)) + 1;
    const key = numberedKey(PREFIXES.kept, Math.min(number, OBJECT_NUMBER_MAX));
    const body = Buffer.from(JSON.stringify({ doneMs }));
    await this.#store.put(key, encodeControl(this.#keys, 'kept', key, body), signal);
    for (const old of before) {
      await this.#remove(old, signal);
    }
    this.#objects = [key];
  }

  async #listed(signal: AbortSignal): Promise<readonly ObjectKey[]> {
    if (this.#objects === undefined) {
      const entries = await Array.fromAsync(this.#store.list(PREFIXES.kept, signal));
      this.#objects = entries.map(({ key }) => key).filter((key) => numberOf(key) !== undefined);
    }
    return this.#objects;
  }

  async #read(key: ObjectKey, signal: AbortSignal): Promise<number | undefined> {
    try {
      const object = await this.#store.get(key, signal);
      return object && readKept({ keys: this.#keys }, key, object);
    } catch (error) {
      if (isFault(error) && error.kind !== 'unavailable' && error.kind !== 'denied') {
        // Ignores the entry: more is extended than is due.
        return undefined;
      }
      throw error;
    }
  }

  async #remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    try {
      await this.#store.remove(key, signal);
    } catch (error) {
      // The keeper may lack the right to remove; readers take the highest time.
      if (!isFault(error, 'store.denied')) {
        throw error;
      }
    }
  }
}

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function readKept(
  { keys }: { readonly keys: KeyTree },
  key: ObjectKey,
  object: Uint8Array,
): number {
  const body = decodeControl(keys, 'kept', key, object);
  return parseControlBody(key, () => {
    const parsed = Body.safeParse(parseJson(body));
    demand(parsed.success, 'it has another form');
    return parsed.data.doneMs;
  });
}
