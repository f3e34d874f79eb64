import { isFault } from '../../kernel/fault.ts';
import { decodeControl, encodeControl } from '../control-object.ts';
import { PREFIXES } from '../layout.ts';
import { newestNumbered, nextNumbered } from '../numbered-objects.ts';
import type { VaultBase } from '../packs.ts';
import { Capabilities } from './capabilities.ts';

type Base = Pick<VaultBase, 'store' | 'keys'>;

/** Keeps what a store was seen to do beside the vault: `probe/<n>-<rand>`. */
export async function putCapabilities(
  { store, keys }: Base,
  capabilities: Capabilities,
  signal: AbortSignal,
): Promise<void> {
  const key = await nextNumbered(store, PREFIXES.probes, signal);
  const body = Buffer.from(JSON.stringify(capabilities));
  await store.put(key, encodeControl(keys, 'probe', key, body), signal);
}

/** What the store was last seen to do; undefined if nobody tried or it does not verify. */
export async function newestCapabilities(
  base: Base,
  signal: AbortSignal,
): Promise<Capabilities | undefined> {
  const key = await newestNumbered(base.store, PREFIXES.probes, signal);
  const object = key === undefined ? undefined : await base.store.get(key, signal);
  if (key === undefined || object === undefined) {
    return undefined;
  }
  try {
    const body = decodeControl(base.keys, 'probe', key, object);
    return Capabilities.parse(JSON.parse(body.toString('utf8')));
  } catch (error) {
    if (isFault(error) || Error.isError(error)) {
      // It is only told to people: without it nothing is known, as before it was written.
      return undefined;
    }
    throw error;
  }
}
