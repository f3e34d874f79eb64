import type { Clock } from '../../kernel/clock.ts';
import type { LockMode } from './bucket-features.ts';
import type { ObjectKey, ObjectStore, PutOptions } from './object-store.ts';
import { StoreLayer } from './store-layer.ts';
import { lockedUntilMs } from './lock-times.ts';

/** How long nobody may remove what a vault needs. */
export interface LockPolicy {
  readonly mode: LockMode;
  /** Days that a needed object stays locked, counted from any moment. */
  readonly days: number;
}

/** Keys that anybody may remove. */
const DISPOSABLE = /^(?:x|cat|probe|keep)\//;

/** Locks every object that a vault needs when it is put. */
class LockingObjectStore extends StoreLayer {
  override readonly wantsHash = true;
  readonly #policy: LockPolicy;
  readonly #clock: Clock;

  constructor(store: ObjectStore, policy: LockPolicy, clock: Clock) {
    super(store);
    this.#policy = policy;
    this.#clock = clock;
  }

  override put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options: PutOptions = {},
  ): Promise<void> {
    if (DISPOSABLE.test(key)) {
      return this.store.put(key, data, signal, options);
    }
    const { mode, days } = this.#policy;
    const lock = { mode, untilMs: lockedUntilMs(this.#clock.nowMs(), days) };
    return this.store.put(key, data, signal, { ...options, lock });
  }
}

/** Returns the store through which a vault with this policy is written; a folder has no locks. */
export function locking(
  store: ObjectStore,
  policy: LockPolicy | undefined,
  clock: Clock,
): ObjectStore {
  return policy === undefined || store.features === undefined
    ? store
    : new LockingObjectStore(store, policy, clock);
}
