import { Fault } from '../../kernel/fault.ts';
import { claimedVault, decodeFormat } from './format-object.ts';
import { PREFIXES } from '../format/object-names.ts';
import { newestNumbered } from '../format/numbered-objects.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import type { ObjectStore } from '../store/object-store.ts';

/**
 * Checks that what was signed so far counts. If the retention key was replaced since the vault was
 * opened, its signatures no longer do. The replacement lists what was retired after the new format
 * is there, so a retirement whose writer still finds the old format after its PUTs is on that list.
 * @throws Fault `vault.key-outdated`
 */
export async function requireCurrentRetention(
  { store, keys }: { readonly store: ObjectStore; readonly keys: KeyTree },
  signal: AbortSignal,
): Promise<void> {
  const key = await newestNumbered(store, PREFIXES.format, signal);
  const object = key === undefined ? undefined : await store.get(key, signal);
  if (key === undefined || object === undefined) {
    throw new Fault(
      'vault.not-found',
      `There is no vault at ${store.location} any more. Check what is there before anything else.`,
      { location: store.location },
    );
  }
  const isKnown = keys.has(claimedVault(key, object).keyVersion);
  const publicKey = isKnown && decodeFormat(keys, key, object).retention.publicKey;
  if (publicKey !== keys.retention.publicKey.toString('hex')) {
    throw new Fault(
      'vault.key-outdated',
      'The retention key of this vault was replaced since it was opened here, so nothing was given up and no hold was ended. Open the vault again (a service: forget it and add it again) and repeat.',
    );
  }
}
