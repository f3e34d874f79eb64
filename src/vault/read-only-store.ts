import type { BucketFeatures } from './bucket-features.ts';
import { refuseReadOnly, type VaultFormat } from './format-object.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
} from './object-store.ts';

/** Refuses every change of a vault whose format has features with which this program can only read it. */
class ReadOnlyObjectStore extends ObjectStore {
  override readonly location: string;
  readonly #store: ObjectStore;
  readonly #format: VaultFormat;

  constructor(store: ObjectStore, format: VaultFormat) {
    super();
    this.#store = store;
    this.#format = format;
    this.location = store.location;
  }

  override get identity(): string {
    return this.#store.identity;
  }

  override get features(): BucketFeatures | undefined {
    return this.#store.features;
  }

  override async put(): Promise<void> {
    refuseReadOnly(this.#format);
  }

  override async remove(): Promise<void> {
    refuseReadOnly(this.#format);
  }

  override get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#store.get(key, signal);
  }

  override getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    return this.#store.getRange(key, range, signal);
  }

  override localFile(key: ObjectKey, wantedBytes: number): string | undefined {
    return this.#store.localFile?.(key, wantedBytes);
  }

  override list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    return this.#store.list(prefix, signal);
  }

  override close(): Promise<void> {
    return this.#store.close();
  }
}

/** The store through which a vault of this format is changed, if this program may change it. */
export function changeable(store: ObjectStore, format: VaultFormat): ObjectStore {
  return format.features.readOnly === 0 ? store : new ReadOnlyObjectStore(store, format);
}
