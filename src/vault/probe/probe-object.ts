import { isFault } from '../../kernel/fault.ts';
import { shortened } from '../../kernel/text/shortened.ts';
import { parseJson, demand } from '../bytes/binary.ts';
import { decodeControl, encodeControl, parseControlBody } from '../control/control-object.ts';
import { PREFIXES } from '../format/object-names.ts';
import { PROBE_DETAIL_CHARACTERS_MAX, PROBE_LOCATION_CHARACTERS_MAX } from '../format/limits.ts';
import { getOrDamage } from '../format/object-limit.ts';
import { newestNumbered, nextNumbered } from '../format/numbered-objects.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import { Capabilities, CHECK_NAMES } from './capabilities.ts';

type Base = Pick<VaultBase, 'store' | 'keys'>;

/** Writes what a store was seen to do to `probe/<n>-<rand>`, beside the vault. */
export async function putCapabilities(
  { store, keys }: Base,
  capabilities: Capabilities,
  signal: AbortSignal,
): Promise<void> {
  const key = await nextNumbered(store, PREFIXES.probes, signal);
  const body = Buffer.from(JSON.stringify(fitting(capabilities)));
  const object = encodeControl(keys, 'probe', key, body);
  readCapabilities({ keys }, key, object);
  await store.put(key, object, signal);
}

/** Shortens texts: those from paths and servers can have any length. */
function fitting(capabilities: Capabilities): Capabilities {
  const findings: Capabilities['findings'] = {};
  for (const check of CHECK_NAMES) {
    const finding = capabilities.findings[check];
    if (finding !== undefined) {
      const { verdict, detail } = finding;
      const told = detail && { detail: shortened(detail, PROBE_DETAIL_CHARACTERS_MAX) };
      findings[check] = { verdict, ...told };
    }
  }
  const location = shortened(capabilities.location, PROBE_LOCATION_CHARACTERS_MAX);
  return { ...capabilities, location, findings };
}

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function readCapabilities(
  { keys }: Pick<Base, 'keys'>,
  key: ObjectKey,
  object: Uint8Array,
): Capabilities {
  const body = decodeControl(keys, 'probe', key, object);
  return parseControlBody(key, () => {
    const parsed = Capabilities.safeParse(parseJson(body));
    demand(parsed.success, 'it has another form');
    return parsed.data;
  });
}

/**
 * Returns what the store was last seen to do; undefined if nobody tried, or the object does not
 * verify.
 */
export async function newestCapabilities(
  base: Base,
  signal: AbortSignal,
): Promise<Capabilities | undefined> {
  const key = await newestNumbered(base.store, PREFIXES.probes, signal);
  const object = key === undefined ? undefined : await getOrDamage(base.store, key, signal);
  if (key === undefined || object === undefined || isFault(object)) {
    return undefined;
  }
  try {
    return readCapabilities(base, key, object);
  } catch (error) {
    if (isFault(error)) {
      // The object only informs people: without it nothing is known, as before the first probe.
      return undefined;
    }
    throw error;
  }
}
