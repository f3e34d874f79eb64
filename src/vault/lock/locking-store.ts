import type { Clock } from '../../kernel/clock.ts';
import type { BucketFeatures, LockMode } from '../bucket-features.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../object-store.ts';
import { lockedUntilMs } from './lock-times.ts';

/** For how long nobody may remove what a vault needs. */
export interface LockPolicy {
  readonly mode: LockMode;
  /** Days that an object which is needed stays locked, counted from any moment. */
  readonly days: number;
}

/** What anybody may throw away. */
const DISPOSABLE = /^(?:x|cat|probe|keep)\//;

/** Locks every object that a vault needs as it is put. */
class LockingObjectStore extends ObjectStore {
  override readonly location: string;
  override readonly wantsHash = true;
  readonly #store: ObjectStore;
  readonly #policy: LockPolicy;
  readonly #clock: Clock;

  constructor(store: ObjectStore, policy: LockPolicy, clock: Clock) {
    super();
    this.#store = store;
    this.#policy = policy;
    this.#clock = clock;
    this.location = store.location;
  }

  override get identity(): string {
    return this.#store.identity;
  }

  override get features(): BucketFeatures | undefined {
    return this.#store.features;
  }

  override put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options: PutOptions = {},
  ): Promise<void> {
    if (DISPOSABLE.test(key)) {
      return this.#store.put(key, data, signal, options);
    }
    const { mode, days } = this.#policy;
    const lock = { mode, untilMs: lockedUntilMs(this.#clock.nowMs(), days) };
    return this.#store.put(key, data, signal, { ...options, lock });
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

  override remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    return this.#store.remove(key, signal);
  }

  override close(): Promise<void> {
    return this.#store.close();
  }
}

/** The store through which a vault with this policy is written; a folder has no locks to give. */
export function locking(
  store: ObjectStore,
  policy: LockPolicy | undefined,
  clock: Clock,
): ObjectStore {
  return policy === undefined || store.features === undefined
    ? store
    : new LockingObjectStore(store, policy, clock);
}
