import type { BucketFeatures } from './bucket-features.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from './object-store.ts';

/** Passes every call on to another store; subclasses override what they add. */
export abstract class StoreLayer extends ObjectStore {
  override readonly location: string;
  override readonly wantsHash: boolean;
  protected readonly store: ObjectStore;

  constructor(store: ObjectStore) {
    super();
    this.store = store;
    this.location = store.location;
    this.wantsHash = store.wantsHash;
  }

  override get identity(): string {
    return this.store.identity;
  }

  override isOutdated(): boolean {
    return this.store.isOutdated();
  }

  override get features(): BucketFeatures | undefined {
    return this.store.features;
  }

  override makePlace(signal: AbortSignal): Promise<void> {
    return this.store.makePlace(signal);
  }

  override put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    return this.store.put(key, data, signal, options);
  }

  override get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.store.get(key, signal);
  }

  override getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    return this.store.getRange(key, range, signal);
  }

  override localFile(key: ObjectKey, wantedBytes: number): string | undefined {
    return this.store.localFile?.(key, wantedBytes);
  }

  override list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    return this.store.list(prefix, signal);
  }

  override remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    return this.store.remove(key, signal);
  }

  override close(): Promise<void> {
    return this.store.close();
  }
}
