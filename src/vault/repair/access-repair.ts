import { Fault, isFault } from '../../kernel/fault.ts';
import { encodeFormat } from '../control/format-object.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import { numberedKey, numberOf, PREFIXES } from '../format/object-names.ts';
import { getOrDamage, isSame } from '../format/object-limit.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { verifies } from '../checks/control-check.ts';
import { unlockVault } from '../access/unlock.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';
import type { ObjectRepair, ObjectRepairOptions } from './object-repair.ts';
import { isRecovery, keysAt, lacksRecovery, type KeyThere } from './recovery-keys.ts';

/** Objects that show which vault this is. */
const IDENTIFYING = [PREFIXES.points, PREFIXES.data, PREFIXES.metadata] as const;

/**
 * Makes a vault openable again if its format or keys are gone or damaged, from a copy that opens.
 * Keys come back only if no readable recovery object is left: if one is missing beside others,
 * somebody removed it on purpose. If it is killed, run it again, or `repairVault` does the rest.
 * @throws Fault `vault.not-found` if nothing here could belong to the copy's keys
 */
export async function repairAccess(
  {
    store,
    copy,
    unlock,
  }: { readonly store: ObjectStore; readonly copy: ObjectStore; readonly unlock: VaultUnlock },
  { apply, overwrite }: ObjectRepairOptions,
  signal: AbortSignal,
): Promise<ObjectRepair[]> {
  const { keys, format, openedBy } = await unlockVault(copy, { vault: unlock }, signal);
  await requireVault(store, signal);
  const repairs: ObjectRepair[] = [];
  const put = async (key: ObjectKey, bytes: Uint8Array): Promise<void> => {
    if (apply) {
      await store.put(key, bytes, signal);
    }
  };
  const formats = await inspect(
    store,
    PREFIXES.format,
    (key, object) => verifies(keys, key, object),
    signal,
  );
  const newest = formats.toSorted((a, b) => (numberOf(b.key) ?? 0) - (numberOf(a.key) ?? 0))[0];
  if (newest?.isWhole !== true) {
    const key = numberedKey(PREFIXES.format, (numberOf(newest?.key ?? '') ?? 0) + 1);
    await put(key, encodeFormat(keys, key, format));
    repairs.push({
      key,
      was: newest === undefined ? 'missing' : 'damaged',
      outcome: 'written-anew',
    });
  }
  const ways = { put, overwrite, ...(openedBy === undefined ? {} : { openedBy }) };
  return [...repairs, ...(await repairKeys({ store, copy, keys }, ways, signal))];
}

/**
 * Writes the copy's keys. Two objects of one key carry the same bytes, so one that differs from the
 * copy's is damaged.
 */
async function repairKeys(
  {
    store,
    copy,
    keys,
  }: { readonly store: ObjectStore; readonly copy: ObjectStore; readonly keys: KeyTree },
  {
    put,
    overwrite,
    openedBy,
  }: {
    readonly put: (key: ObjectKey, bytes: Uint8Array) => Promise<void>;
    readonly overwrite: boolean;
    readonly openedBy?: ObjectKey;
  },
  signal: AbortSignal,
): Promise<ObjectRepair[]> {
  const repairs: ObjectRepair[] = [];
  const hasRecovery = !(await lacksRecovery(store, signal));
  // Recovery objects go last: the vault opens without them, and if this is killed, the next run
  // still finds that they are lacking.
  const rank = (object: KeyThere): number =>
    isRecovery(object) ? 2 : object.key === openedBy ? 1 : 0;
  const there = (await keysAt(copy, signal)).toSorted((a, b) => rank(a) - rank(b));
  for (const { key } of there) {
    const mine = await getOrDamage(store, key, signal);
    const theirs = await getOrDamage(copy, key, signal);
    if (
      theirs === undefined ||
      isFault(theirs) ||
      isSame(mine, theirs) ||
      !verifies(keys, key, theirs)
    ) {
      continue;
    }
    const was = mine === undefined ? 'missing' : 'damaged';
    const why = reasonToLeave(was, overwrite, hasRecovery);
    if (why !== undefined) {
      repairs.push({ key, was, outcome: 'left', why });
      continue;
    }
    await put(key, theirs);
    repairs.push({ key, was, outcome: was === 'damaged' ? 'overwritten' : 'copied' });
  }
  return repairs;
}

function reasonToLeave(
  was: ObjectRepair['was'],
  overwrite: boolean,
  hasRecovery: boolean,
): string | undefined {
  if (was === 'damaged') {
    return overwrite ? undefined : 'nothing is overwritten unless it is asked for';
  }
  return hasRecovery
    ? 'a key of a recovery file is there, so somebody may have removed it; open with that or another one and add a new one'
    : undefined;
}

interface Inspected {
  readonly key: ObjectKey;
  readonly isWhole: boolean;
}

async function inspect(
  store: ObjectStore,
  prefix: string,
  check: (key: ObjectKey, object: Uint8Array | Fault) => boolean,
  signal: AbortSignal,
): Promise<Inspected[]> {
  const found: Inspected[] = [];
  for await (const { key } of store.list(prefix, signal)) {
    const object = await getOrDamage(store, key, signal);
    if (object !== undefined) {
      found.push({ key, isWhole: check(key, object) });
    }
  }
  return found;
}

/** Refuses a location without a vault: a mistyped one must not become a vault. */
async function requireVault(store: ObjectStore, signal: AbortSignal): Promise<void> {
  for (const prefix of IDENTIFYING) {
    for await (const { key } of store.list(prefix, signal)) {
      if (key !== '') {
        return;
      }
    }
  }
  throw new Fault(
    'vault.not-found',
    `There is nothing of a vault at ${store.location}. To make a second copy of a vault there, use: hyperkeep rescue copy`,
    { location: store.location },
  );
}

/** Whether `repairAccess` might help with a vault that does not open. */
export function isAccessDamage(error: unknown): boolean {
  return (
    isFault(error, 'vault.not-found') ||
    isFault(error, 'vault.format-corrupt') ||
    isFault(error, 'vault.key-corrupt') ||
    isFault(error, 'vault.wrong-passphrase')
  );
}
