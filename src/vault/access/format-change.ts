import { Fault } from '../../kernel/fault.ts';
import { SilentLog, type Log } from '../../kernel/log.ts';
import { encodeFormat, retentionKeyOfSeed, type VaultFormat } from '../control/format-object.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { numberedKey, numberOf, PREFIXES, randomSuffix } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { encodeRetired, readRetired, Retirements, type PointName } from '../points/retirements.ts';
import { RetentionKey } from '../keys/retention-key.ts';
import { encodeSigned } from '../control/signed-object.ts';
import { unlockVault, type UnlockedVault } from './unlock.ts';

/** The list of retired points is made again if somebody retired one while it was written. */
const ROUNDS_MAX = 3;

interface NewKeys {
  readonly keyring: Uint8Array;
  readonly seed: Uint8Array;
}

interface Place {
  readonly store: ObjectStore;
  readonly log?: Log;
}

/**
 * Writes the next format with these keys. If the retention key changes, the points that are retired
 * now are put on a list that the new key signs.
 * @returns the vault as the new format opens it
 */
export async function changeFormat(
  { store, log = new SilentLog() }: Place,
  before: UnlockedVault,
  next: { readonly format: VaultFormat; readonly keys: NewKeys },
  signal: AbortSignal,
): Promise<UnlockedVault> {
  const { keyring, seed } = next.keys;
  const unlocks = {
    vault: { kind: 'master-key', key: keyring },
    retention: { kind: 'master-key', key: seed },
  } as const;
  const retired = async (): Promise<PointName[]> =>
    new Retirements({ store, keys: before.keys }, log).names(signal);
  let points = await retired();
  let number = numberOf(before.formatKey) ?? 0;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    number += 1;
    const format = await withRetention(store, { before, next, number, points }, signal);
    const { keyVersion } = format;
    const key = numberedKey(PREFIXES.format, number);
    const keys = new KeyTree(keyring, before.keys.vaultId, { version: keyVersion });
    await store.put(key, encodeFormat(keys, key, format), signal);
    const opened = await unlockVault(store, unlocks, signal);
    if (opened.formatKey !== key) {
      break;
    }
    const now = await retired();
    if (now.length === points.length || format.retention.confirmed === undefined) {
      return opened;
    }
    points = now;
  }
  throw keysChanged();
}

/** Returns the format with the new retention key, after writing the list that it names. */
async function withRetention(
  store: ObjectStore,
  {
    before,
    next,
    number,
    points,
  }: {
    before: UnlockedVault;
    next: { readonly format: VaultFormat; readonly keys: NewKeys };
    number: number;
    points: readonly PointName[];
  },
  signal: AbortSignal,
): Promise<VaultFormat> {
  const { format, keys } = next;
  if (retentionKeyOfSeed(before.format, keys.seed) !== undefined) {
    return format;
  }
  const { publicKey, earlier } = before.format.retention;
  const retention = RetentionKey.ofSeed(keys.seed);
  const confirmed: ObjectKey = `${PREFIXES.format}${String(number).padStart(6, '0')}-${randomSuffix()}.retired`;
  const tree = new KeyTree(keys.keyring, before.keys.vaultId, {
    version: format.keyVersion,
    retention,
  });
  const list = encodeSigned(tree, 'retired-list', confirmed, encodeRetired(points));
  readRetired({ keys: tree }, confirmed, list);
  await store.put(confirmed, list, signal);
  return {
    ...format,
    retention: {
      ...format.retention,
      publicKey: retention.publicKey.toString('hex'),
      earlier: [...earlier, publicKey],
      confirmed,
    },
  };
}

export function keysChanged(): Fault {
  return new Fault(
    'vault.keys-changed',
    'Somebody else changed the keys of this vault at the same time. What this command made was taken back; list the keys and repeat.',
  );
}
