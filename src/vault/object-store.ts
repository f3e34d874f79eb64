import type { BucketFeatures, ObjectLock } from './bucket-features.ts';
import type { ObjectKey, ObjectPart, ObjectRange } from './object-part.ts';

export type { ObjectKey, ObjectPart, ObjectRange } from './object-part.ts';

export interface ObjectEntry {
  readonly key: ObjectKey;
  readonly size: number;
}

export interface PutOptions {
  /** SHA-256 of the data, if the caller has it: the server then refuses anything else. */
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
 * Every method throws `store.unreachable` when the store did not answer or answered that it cannot
 * now, `store.nonsense` when its answer has not the form of one (for both callers may retry,
 * because each operation is idempotent), `store.denied` when it refuses the credentials,
 * `store.full` when there is no space left. `undefined` and the end of a list are always something
 * that the store said, never what it did not say.
 */
export abstract class ObjectStore {
  /** For messages: `s3://bucket/prefix` or a folder. Never with credentials. */
  abstract readonly location: string;

  /** Tells this place from every other, also from one of the same name on another server. */
  get identity(): string {
    return this.location;
  }

  /** True if `put` uses the hash of the data; otherwise nobody needs to compute it. */
  readonly wantsHash: boolean = false;

  /**
   * True while its place is not the one in which it was first looked at: whoever keeps it has to
   * open it anew.
   */
  isOutdated(): boolean {
    return false;
  }

  /** What a bucket can beyond plain objects; undefined if it has nothing of it. */
  get features(): BucketFeatures | undefined {
    return undefined;
  }

  /**
   * Makes the place of a new vault or of a new copy, where it needs one to be made. Nothing else
   * makes it.
   */
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
   * The object's bytes, or `undefined` if there is none. One that is larger than any of its kind
   * (`objectBytesMax`) is not read.
   * @throws Fault `vault.*-corrupt` for that: it is damage of this one object
   */
  abstract get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined>;

  /**
   * A part of the object, or `undefined` if there is no object. A range that starts inside the
   * object and ends behind it comes short; one that starts at or behind its end comes empty.
   */
  abstract getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined>;

  /**
   * Path of a local file with the object's bytes that worker threads may read instead of asking for
   * a range, if the store has such files. It may be gone: then `getRange` is asked after all.
   * @param wantedBytes how much the caller is going to read, for those who count
   */
  localFile?(key: ObjectKey, wantedBytes: number): string | undefined;

  /** Yields every object whose key starts with `prefix`, in ascending order of the key's bytes. */
  abstract list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry>;

  abstract remove(key: ObjectKey, signal: AbortSignal): Promise<void>;

  /** Gives connections back. The store is not used afterwards. */
  abstract close(): Promise<void>;
}
