import type { BucketFeatures, ObjectLock } from './bucket-features.ts';
import type { ObjectKey, ObjectPart, ObjectRange } from './object-part.ts';

export type { ObjectKey, ObjectPart, ObjectRange } from './object-part.ts';

export interface ObjectEntry {
  readonly key: ObjectKey;
  readonly size: number;
  /**
   * When the store took the object, in ms since the Unix epoch, by the store's clock. Only from
   * stores where no client can set it; putting an object again makes it later.
   */
  readonly storedAtMs?: number | undefined;
}

export interface PutOptions {
  /** SHA-256 of the data, if the caller has it: the server then refuses other data. */
  readonly sha256?: Uint8Array;
  /** Nobody can remove the object before then; for stores with `features` only. */
  readonly lock?: ObjectLock;
}

/**
 * Where a vault keeps its objects. Objects are written once and never changed.
 *
 * An implementation promises, and test/contract/object-store.contract.ts proves:
 * - a `put` that resolved is durable, and visible to every `get` and `list` that starts later;
 * - no reader ever sees part of an object;
 * - `remove` of a missing object succeeds.
 *
 * Every method throws `store.unreachable` if the store did not answer or answered that it cannot
 * now; `store.nonsense` if the answer does not have the form of one (callers may retry after both,
 * because each operation is idempotent); `store.denied` if it refuses the credentials; `store.full`
 * if there is no space left. `undefined` and the end of a list always mean that the store said so.
 */
export abstract class ObjectStore {
  /** For messages: `s3://bucket/prefix` or a folder, never with credentials. */
  abstract readonly location: string;

  /** Differs for every other place, also for one of the same name on another server. */
  get identity(): string {
    return this.location;
  }

  /** True if `put` uses the hash of the data; otherwise the caller need not compute it. */
  readonly wantsHash: boolean = false;

  /** True while the store's place is not the one it first looked at: it must be opened again. */
  isOutdated(): boolean {
    return false;
  }

  /** What the bucket offers beyond plain objects; undefined if nothing. */
  get features(): BucketFeatures | undefined {
    return undefined;
  }

  /** Makes the place of a new vault or a new copy, if it has to be made. Nothing else makes it. */
  async makePlace(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  /** Stores `data` under `key`. Two puts of one key carry the same bytes. */
  abstract put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void>;

  /**
   * Returns the object's bytes, or `undefined` if there is none. An object larger than any of its
   * kind (`objectBytesMax`) is not read.
   * @throws Fault `vault.*-corrupt` if it is too large, which is damage of this object only
   */
  abstract get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined>;

  /**
   * Returns a part of the object, or `undefined` if there is none. A range that ends beyond the
   * object is cut short; one that starts at or beyond its end returns no bytes.
   */
  abstract getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined>;

  /**
   * Returns the path of a local file with the object's bytes, if the store has such files, for
   * worker threads to read. The file may be gone: then call `getRange`.
   * @param wantedBytes how much the caller is going to read, for counting
   */
  localFile?(key: ObjectKey, wantedBytes: number): string | undefined;

  /** Yields every object whose key starts with `prefix`, in ascending order of the key's bytes. */
  abstract list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry>;

  abstract remove(key: ObjectKey, signal: AbortSignal): Promise<void>;

  /** Closes connections. Do not use the store afterwards. */
  abstract close(): Promise<void>;
}
