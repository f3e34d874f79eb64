import { type Fault, isFault, integrityOrThrow } from '../../kernel/fault.ts';
import { decodeControl, type ControlKind } from '../control/control-object.ts';
import { decodeFormat } from '../control/format-object.ts';
import { decodeKeyObject } from '../keys/key-object.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import { pointKey, PREFIXES } from '../format/object-names.ts';
import { getOrDamage } from '../format/object-limit.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { openSigned } from '../control/signed-object.ts';
import type { VaultInside } from '../vault-inside.ts';

/** Prefixes of all small objects except points. */
const PREFIXES_CHECKED = [
  PREFIXES.format,
  PREFIXES.keys,
  PREFIXES.condemned,
  PREFIXES.damaged,
  PREFIXES.aliases,
  PREFIXES.retired,
  PREFIXES.holds,
] as const;

const SIGNED: readonly ControlKind[] = ['retire', 'hold-end', 'retired-list'];

/**
 * Returns the small objects that no holder of the key wrote: marks, lists, keys, and sealed points.
 */
export async function damagedObjects(
  { base, points }: Pick<VaultInside, 'base' | 'points'>,
  signal: AbortSignal,
): Promise<ObjectKey[]> {
  const damaged: ObjectKey[] = [];
  for (const prefix of PREFIXES_CHECKED) {
    for await (const { key } of base.store.list(prefix, signal)) {
      const object = await getOrDamage(base.store, key, signal);
      if (object !== undefined && !verifies(base.keys, key, object)) {
        damaged.push(key);
      }
    }
  }
  for (const { vmId, id } of await points.lost(signal)) {
    damaged.push(pointKey(vmId, id));
  }
  for (const name of await points.sealed(signal)) {
    try {
      await points.load(name, signal);
    } catch (error) {
      integrityOrThrow(error);
      // The object is damaged, which is what the check looks for.
      damaged.push(pointKey(name.vmId, name.id));
    }
  }
  return damaged;
}

/** Whether a holder of the key wrote exactly these bytes under exactly this key. */
export function verifies(keys: KeyTree, key: ObjectKey, object: Uint8Array | Fault): boolean {
  if (isFault(object)) {
    return false;
  }
  try {
    if (key.startsWith(PREFIXES.format) && !isRetiredList(key)) {
      decodeFormat(keys, key, object);
      return true;
    }
    if (key.startsWith(PREFIXES.keys)) {
      decodeKeyObject(key, object);
      return true;
    }
    const kind = kindOf(key);
    if (SIGNED.includes(kind)) {
      openSigned(keys, kind, key, object);
    } else {
      decodeControl(keys, kind, key, object);
    }
    return true;
  } catch (error) {
    if (isFault(error) && (error.kind === 'integrity' || error.kind === 'unsupported')) {
      // The object does not verify, which is what the check asks.
      return false;
    }
    throw error;
  }
}

function isRetiredList(key: ObjectKey): boolean {
  return key.startsWith(PREFIXES.format) && key.endsWith('.retired');
}

function kindOf(key: ObjectKey): ControlKind {
  if (isRetiredList(key)) {
    return 'retired-list';
  }
  const isDone = key.endsWith('.done');
  if (key.startsWith(PREFIXES.condemned)) {
    return isDone ? 'done' : 'condemned';
  }
  if (key.startsWith(PREFIXES.damaged)) {
    return isDone ? 'done' : 'bad';
  }
  if (key.startsWith(PREFIXES.retired)) {
    return key.endsWith('.ask') ? 'retire-request' : 'retire';
  }
  if (key.startsWith(PREFIXES.holds)) {
    return key.endsWith('.end') ? 'hold-end' : 'hold';
  }
  return 'alias';
}
