import { randomBytes } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import { isFault } from '../../kernel/fault.ts';
import type {
  BucketFeatures,
  LockMode,
  ObjectLock,
  ObjectVersion,
} from '../store/bucket-features.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { Finding } from './capabilities.ts';

/**
 * Short, because a locked object stays until the lock ends; longer than the checks take on a slow
 * store.
 */
const LOCK_MS = 12_000;
const EXTENSION_MS = 2000;
/** Servers keep whole seconds. */
const ROUNDING_MS = 1000;

export interface LockTrial {
  readonly mode: LockMode;
  readonly prefix: string;
  readonly clock: Clock;
  /** Clock of the server minus the clock here. */
  readonly skewMs: number;
  readonly lockMs?: number;
}

/**
 * Checks that a lock refuses removal and shortening, and that an overwrite does not destroy the
 * locked version.
 */
export async function probeLock(
  store: ObjectStore,
  trial: LockTrial,
  signal: AbortSignal,
): Promise<Finding> {
  const { features } = store;
  if (features === undefined || !(await features.lockEnabled(signal))) {
    return { verdict: 'no', detail: 'object lock is not enabled here' };
  }
  const { mode, prefix, clock, skewMs, lockMs = LOCK_MS } = trial;
  const key = `${prefix}object`;
  const content = randomBytes(1000);
  const lock: ObjectLock = { mode, untilMs: clock.nowMs() + skewMs + lockMs };
  await store.put(key, content, signal, { lock });
  const [version] = await Array.fromAsync(features.listVersions(prefix, signal));
  if (version === undefined) {
    return { verdict: 'no', detail: 'the locked object has no version' };
  }
  const broken =
    (await keepsLock(features, version, lock, signal)) ??
    (await refusesRemoval(features, version, signal)) ??
    (await refusesShortening(features, version, lock, signal)) ??
    (await survivesOverwrite(store, features, { version, content }, signal));
  if (broken !== undefined) {
    return { verdict: 'no', detail: broken };
  }
  const bypassed =
    mode === 'governance' && !(await wasRefused(removal(features, version, true, signal)));
  if (bypassed) {
    return { verdict: 'yes', detail: 'these credentials may bypass it' };
  }
  return { verdict: 'yes' };
}

async function keepsLock(
  features: BucketFeatures,
  version: ObjectVersion,
  lock: ObjectLock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const kept = await features.lockOf(version, signal);
  return kept?.mode === lock.mode && Math.abs(kept.untilMs - lock.untilMs) <= ROUNDING_MS
    ? undefined
    : `a lock came back as ${kept === undefined ? 'none' : `${kept.mode} of another time`}`;
}

async function refusesRemoval(
  features: BucketFeatures,
  version: ObjectVersion,
  signal: AbortSignal,
): Promise<string | undefined> {
  const refused = await wasRefused(removal(features, version, false, signal));
  const isThere = (await features.getVersion(version, undefined, signal)) !== undefined;
  if (isThere && refused) {
    return undefined;
  }
  return isThere ? 'it says that it removed a locked object' : 'it removed a locked object';
}

async function refusesShortening(
  features: BucketFeatures,
  version: ObjectVersion,
  lock: ObjectLock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const shorter = { ...lock, untilMs: lock.untilMs - EXTENSION_MS };
  await wasRefused(features.setLock(version, shorter, signal));
  const kept = await features.lockOf(version, signal);
  if ((kept?.untilMs ?? 0) < lock.untilMs - ROUNDING_MS) {
    return 'a lock can be shortened';
  }
  await features.setLock(version, { ...lock, untilMs: lock.untilMs + EXTENSION_MS }, signal);
  const extended = await features.lockOf(version, signal);
  return (extended?.untilMs ?? 0) >= lock.untilMs + EXTENSION_MS - ROUNDING_MS
    ? undefined
    : 'a lock cannot be extended';
}

async function survivesOverwrite(
  store: ObjectStore,
  features: BucketFeatures,
  { version, content }: { version: ObjectVersion; content: Buffer },
  signal: AbortSignal,
): Promise<string | undefined> {
  await wasRefused(store.put(version.key, randomBytes(10), signal));
  await wasRefused(store.remove(version.key, signal));
  const part = await features.getVersion(version, undefined, signal);
  return part !== undefined && content.equals(part.data)
    ? undefined
    : 'an overwrite or a removal destroyed a locked object';
}

async function removal(
  features: BucketFeatures,
  version: ObjectVersion,
  bypass: boolean,
  signal: AbortSignal,
): Promise<void> {
  await features.removeVersion(version, { bypass }, signal);
}

/** Returns true if the store refused the operation, which is an answer here and not a failure. */
async function wasRefused(operation: Promise<void>): Promise<boolean> {
  try {
    await operation;
    return false;
  } catch (error) {
    if (isFault(error) && error.kind !== 'unavailable') {
      return true;
    }
    throw error;
  }
}
