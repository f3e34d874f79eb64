import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
} from './object-store.ts';

/** Reads two copies of a vault as one: what the first lacks comes from the second. Read only. */
export class MergedStore extends ObjectStore {
  override readonly location: string;
  readonly #first: ObjectStore;
  readonly #second: ObjectStore;

  constructor(first: ObjectStore, second: ObjectStore) {
    super();
    this.#first = first;
    this.#second = second;
    this.location = first.location;
  }

  override async put(): Promise<void> {
    throw new TypeError('merged stores are for reading');
  }

  override async remove(): Promise<void> {
    throw new TypeError('merged stores are for reading');
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return (await this.#first.get(key, signal)) ?? (await this.#second.get(key, signal));
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    return (
      (await this.#first.getRange(key, range, signal)) ??
      (await this.#second.getRange(key, range, signal))
    );
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    const entries = new Map<ObjectKey, ObjectEntry>();
    for (const store of [this.#second, this.#first]) {
      for await (const entry of store.list(prefix, signal)) {
        entries.set(entry.key, entry);
      }
    }
    yield* [...entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  override async close(): Promise<void> {
    // The caller opened both stores and closes them.
  }
}
