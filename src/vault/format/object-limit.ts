import { Fault, isFault, type FaultCode } from '../../kernel/fault.ts';
import { PREFIXES } from './object-names.ts';
import {
  CONTROL_OBJECT_BYTES_MAX,
  KEY_OBJECT_BYTES_MAX,
  PACK_BYTES_MAX,
  POINT_OBJECT_BYTES_MAX,
} from './limits.ts';
import { RECORD_OBJECT_BYTES_MAX, RECORD_PREFIX } from './record-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';

interface ObjectLimit {
  readonly bytesMax: number;
  /** Fault code of an object that exceeds the limit. */
  readonly code: FaultCode;
}

const PACK: ObjectLimit = { bytesMax: PACK_BYTES_MAX, code: 'vault.pack-corrupt' };
const CONTROL: ObjectLimit = {
  bytesMax: CONTROL_OBJECT_BYTES_MAX,
  code: 'vault.control-corrupt',
};

/**
 * By the first part of the key: docs/vault-format.md, section 12. All other keys are control
 * objects.
 */
const BY_PREFIX: Readonly<Record<string, ObjectLimit>> = {
  [PREFIXES.data]: PACK,
  [PREFIXES.metadata]: PACK,
  [PREFIXES.format]: { ...CONTROL, code: 'vault.format-corrupt' },
  [PREFIXES.keys]: { bytesMax: KEY_OBJECT_BYTES_MAX, code: 'vault.key-corrupt' },
  [PREFIXES.points]: { bytesMax: POINT_OBJECT_BYTES_MAX, code: 'vault.point-corrupt' },
  [RECORD_PREFIX]: { bytesMax: RECORD_OBJECT_BYTES_MAX, code: 'vault.record-unreadable' },
  // The probe tries objects as large as a pack there.
  [PREFIXES.probes]: { ...CONTROL, bytesMax: PACK_BYTES_MAX },
};

function limitOf(key: ObjectKey): ObjectLimit {
  if (key.endsWith('.ok') || key.endsWith('.retired')) {
    return CONTROL;
  }
  return BY_PREFIX[key.slice(0, key.indexOf('/') + 1)] ?? CONTROL;
}

/**
 * Returns the largest size that a vault's object may have under this key; a larger one is not read.
 */
export function objectBytesMax(key: ObjectKey): number {
  return limitOf(key).bytesMax;
}

/** Fault for an object that is too large, without reading a byte more. */
export function tooLarge(key: ObjectKey, bytes?: number): Fault {
  const { bytesMax, code } = limitOf(key);
  const size = bytes === undefined ? 'more' : `${bytes}`;
  return new Fault(
    code,
    `The object ${key} is damaged: it has ${size} bytes and may have ${bytesMax}. It was not read; look who else writes there.`,
    { key },
  );
}

/** @throws Fault `vault.*-corrupt` if no object of a vault has so many bytes under this key */
export function refuseTooLarge(key: ObjectKey, bytes: number): void {
  if (bytes > objectBytesMax(key)) {
    throw tooLarge(key, bytes);
  }
}

/** Whether both objects are there and equal. */
export function isSame(one: Uint8Array | Fault | undefined, other: Uint8Array): boolean {
  return one !== undefined && !isFault(one) && Buffer.compare(one, other) === 0;
}

/** For callers that step over damage: returns the object, or the fault if it is too large. */
export async function getOrDamage(
  store: ObjectStore,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<Uint8Array | Fault | undefined> {
  try {
    return await store.get(key, signal);
  } catch (error) {
    if (isFault(error, limitOf(key).code)) {
      return error;
    }
    throw error;
  }
}
