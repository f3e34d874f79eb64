import { isFault } from '../../kernel/fault.ts';
import { decodeControl, encodeControl } from '../control-object.ts';
import { numberedKey, numberOf, PREFIXES } from '../layout.ts';
import type { ObjectKey } from '../object-store.ts';
import type { VaultBase } from '../packs.ts';
import { Capabilities } from './capabilities.ts';

type Base = Pick<VaultBase, 'store' | 'keys'>;

/** Keeps what a store was seen to do beside the vault: `probe/<n>-<rand>`. */
export async function putCapabilities(
  { store, keys }: Base,
  capabilities: Capabilities,
  signal: AbortSignal,
): Promise<void> {
  const last = await newestKey({ store, keys }, signal);
  const number = last === undefined ? 0 : (numberOf(last) ?? 0);
  const key = numberedKey(PREFIXES.probes, number + 1);
  const body = Buffer.from(JSON.stringify(capabilities));
  await store.put(key, encodeControl(keys, 'probe', key, body), signal);
}

/** What the store was last seen to do; undefined if nobody tried or it does not verify. */
export async function newestCapabilities(
  base: Base,
  signal: AbortSignal,
): Promise<Capabilities | undefined> {
  const key = await newestKey(base, signal);
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

async function newestKey({ store }: Base, signal: AbortSignal): Promise<ObjectKey | undefined> {
  let newest: ObjectKey | undefined;
  for await (const { key } of store.list(PREFIXES.probes, signal)) {
    if ((numberOf(key) ?? -1) > (newest === undefined ? -1 : (numberOf(newest) ?? -1))) {
      newest = key;
    }
  }
  return newest;
}
