import { createHash, randomUUID } from 'node:crypto';
import { Fault } from '../../../src/kernel/fault.ts';
import { refuseTooLarge } from '../../../src/vault/format/object-limit.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../../../src/vault/store/object-store.ts';
import { assertListPrefix, assertObjectKey } from '../../../src/vault/object-stores/object-key.ts';
import { resolveRange } from '../../../src/vault/object-stores/object-range.ts';

/** Objects that live as long as the process, for tests and trials. */
export class MemoryObjectStore extends ObjectStore {
  override readonly location: string = 'memory:';
  readonly #identity = `memory:${randomUUID()}`;
  /** By folder, so that a list of one does not go through all. */
  readonly #folders = new Map<string, Map<ObjectKey, Uint8Array>>();

  override get identity(): string {
    return this.#identity;
  }

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options: PutOptions = {},
  ): Promise<void> {
    signal.throwIfAborted();
    assertObjectKey(key);
    const { sha256 } = options;
    if (sha256 !== undefined && !createHash('sha256').update(data).digest().equals(sha256)) {
      throw new Fault('store.hash-mismatch', `${key} is not what its sender hashed.`, { key });
    }
    // A copy, because the caller may reuse its buffer.
    const folder = this.#folders.get(folderOf(key)) ?? new Map<ObjectKey, Uint8Array>();
    this.#folders.set(folderOf(key), folder.set(key, Uint8Array.from(data)));
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    signal.throwIfAborted();
    assertObjectKey(key);
    const object = this.#folders.get(folderOf(key))?.get(key);
    refuseTooLarge(key, object?.length ?? 0);
    return object?.slice();
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    signal.throwIfAborted();
    assertObjectKey(key);
    const object = this.#folders.get(folderOf(key))?.get(key);
    if (object === undefined) {
      return undefined;
    }
    const { start, end } = resolveRange(range, object.length);
    return { data: object.slice(start, end), objectSize: object.length };
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    assertListPrefix(prefix);
    const entries = [...this.#folders]
      .filter(([folder]) => folder.startsWith(prefix) || prefix.startsWith(folder))
      .flatMap(([, objects]) => [...objects])
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, object]) => ({ key, size: object.length }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const entry of entries) {
      signal.throwIfAborted();
      yield entry;
    }
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertObjectKey(key);
    this.#folders.get(folderOf(key))?.delete(key);
  }

  override async close(): Promise<void> {
    // Nothing is open.
  }
}

function folderOf(key: ObjectKey): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}
