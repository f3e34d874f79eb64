import { isFault } from '../../kernel/fault.ts';
import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { keyClassOf } from '../format/key-classes.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';

const ASKED_AT_ONCE = 16;
/** Of more objects every so many are asked: a lock costs a request. */
const ASKED_MAX = 2000;

/** What of a vault the store keeps although it is removed. */
export interface KeptByStore {
  /** Removed objects stay as versions, until the rules of the bucket remove them. */
  readonly versions: boolean;
  /** Objects that are locked, of those that were asked, and until when at the latest. */
  readonly locks?: {
    readonly asked: number;
    readonly locked: number;
    readonly untilMs: number;
  };
  /** These credentials may not ask. */
  readonly isUnknown: boolean;
}

/** Says what locks and versions of the bucket forbid; undefined for stores without any. */
export async function keptByStore(
  store: ObjectStore,
  objects: number,
  nowMs: number,
  signal: AbortSignal,
): Promise<KeptByStore | undefined> {
  const { features } = store;
  if (features === undefined) {
    return undefined;
  }
  try {
    const versions = (await features.versioning(signal)) !== 'off';
    if (!(await features.lockEnabled(signal))) {
      return { versions, isUnknown: false };
    }
    const keys = await someKeys(store, objects, signal);
    const untils = await mapAtOnce(keys, ASKED_AT_ONCE, async (key) => {
      const lock = await features.lockOf({ key }, signal);
      return lock?.untilMs ?? 0;
    });
    const locked = untils.filter((untilMs) => untilMs > nowMs);
    const untilMs = locked.reduce((a, b) => Math.max(a, b), 0);
    return {
      ...{ versions, isUnknown: false },
      locks: { asked: keys.length, locked: locked.length, untilMs },
    };
  } catch (error) {
    if (!isFault(error, 'store.denied')) {
      throw error;
    }
    return { versions: true, isUnknown: true };
  }
}

async function someKeys(
  store: ObjectStore,
  objects: number,
  signal: AbortSignal,
): Promise<ObjectKey[]> {
  const step = Math.max(1, Math.ceil(objects / ASKED_MAX));
  const keys: ObjectKey[] = [];
  let at = 0;
  for await (const { key } of store.list('', signal)) {
    if (keyClassOf(key) !== undefined && at++ % step === 0) {
      keys.push(key);
    }
  }
  return keys;
}
