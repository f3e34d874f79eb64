import { randomBytes } from 'node:crypto';
import { Fault } from '../../kernel/fault.ts';
import { GENERATION_MAX, OBJECT_NUMBER_MAX } from './limits.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { isUlid, ulidTimeMs, type Ulid } from '../bytes/ulid.ts';

/** Names of the objects of a vault: docs/vault-format.md, section 2. */

export type PackKind = 'data' | 'metadata';

/** The exact object that holds one generation of a logical pack. */
export interface PackName {
  readonly kind: PackKind;
  readonly ulid: Ulid;
  readonly generation: number;
  /** 16 bytes in hex. */
  readonly rand: string;
}

export const PREFIXES = {
  format: 'fmt/',
  keys: 'keys/',
  data: 'd/',
  metadata: 'm/',
  points: 's/',
  retired: 'retire/',
  condemned: 'gc/',
  damaged: 'bad/',
  probes: 'probe/',
  kept: 'keep/',
  aliases: 'alias/',
  holds: 'hold/',
} as const;

const VM_ID = /^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$/;
const PACK = /^([dm])\/\d{6}\/([0-9A-Z]{26})\.(0|[1-9]\d{0,9})\.([0-9a-f]{32})$/;
const POINT = /^s\/([0-9A-Za-z_-]{1,64})\/([0-9A-Z]{26})(\.ok)?$/;
const RETIRED = /^retire\/([0-9A-Za-z_-]{1,64})\/([0-9A-Z]{26})$/;
const RETIRE_REQUEST = /^retire\/([0-9A-Za-z_-]{1,64})\/([0-9A-Z]{26})\.ask$/;
const HOLD = /^hold\/([0-9A-Za-z_-]{1,64})\/([0-9A-Z]{26})\.([0-9a-f]{32})(\.end)?$/;
const NUMBERED = /^[a-z]+\/(\d{6,12})-[0-9a-f]{32}$/;

export function randomSuffix(): string {
  return randomBytes(16).toString('hex');
}

/**
 * Returns a key such as `fmt/000001-<rand>`.
 * @throws Fault `vault.limit-reached` if the number is too large for readers
 */
export function numberedKey(prefix: string, number: number): ObjectKey {
  if (number > OBJECT_NUMBER_MAX) {
    throw new Fault(
      'vault.limit-reached',
      `There is an object under ${prefix} with the highest number that a name can have, so none can follow it. Nothing was written; look who put it there.`,
    );
  }
  return `${prefix}${String(number).padStart(6, '0')}-${randomSuffix()}`;
}

/** Returns the number in such a key, or undefined if the key has none. */
export function numberOf(key: ObjectKey): number | undefined {
  const match = NUMBERED.exec(key);
  return match === null ? undefined : Number(match[1]);
}

export function isVmId(text: string): boolean {
  return VM_ID.test(text);
}

/** Returns the beginning of the keys of all generations of the pack. */
export function packPrefix(pack: { readonly kind: PackKind; readonly ulid: Ulid }): string {
  return `${PREFIXES[pack.kind]}${monthOf(ulidTimeMs(pack.ulid))}/${pack.ulid}.`;
}

const DAY_MS = 86_400_000;
const DAYS_KEPT = 10_000;
const months = new Map<number, string>();

/** Returns the month, such as `202611`. Cached, because many packs of a vault are from one day. */
function monthOf(timeMs: number): string {
  const day = Math.floor(timeMs / DAY_MS);
  let month = months.get(day);
  if (month === undefined) {
    const text = new Date(timeMs).toISOString().replace(/^\+?0*(\d{4,})-(\d\d).*$/, '$1$2');
    month = text.slice(-6);
    if (months.size >= DAYS_KEPT) {
      months.clear();
    }
    months.set(day, month);
  }
  return month;
}

/**
 * Somebody may have used the highest generation: then several objects have it, and their random
 * parts differ.
 */
export function generationAfter(generation: number): number {
  return Math.min(generation + 1, GENERATION_MAX);
}

export function packKey(pack: PackName): ObjectKey {
  return `${packPrefix(pack)}${pack.generation}.${pack.rand}`;
}

export function parsePackKey(key: ObjectKey): PackName | undefined {
  const match = PACK.exec(key);
  if (match === null) {
    return undefined;
  }
  const [, letter, ulid = '', generationText, rand = ''] = match;
  const kind = letter === 'd' ? 'data' : 'metadata';
  const generation = Number(generationText);
  if (!isUlid(ulid) || generation > GENERATION_MAX) {
    return undefined;
  }
  const isInItsMonth = key.startsWith(packPrefix({ kind, ulid }));
  return isInItsMonth ? { kind, ulid, generation, rand } : undefined;
}

export function pointKey(vmId: string, id: Ulid): ObjectKey {
  return `${PREFIXES.points}${vmId}/${id}`;
}

export function sealKey(vmId: string, id: Ulid): ObjectKey {
  return `${pointKey(vmId, id)}.ok`;
}

export function retireKey(vmId: string, id: Ulid): ObjectKey {
  return `${PREFIXES.retired}${vmId}/${id}`;
}

/**
 * Key of the request, by somebody without the retention key, to give up a point that was not
 * sealed.
 */
export function retireRequestKey(vmId: string, id: Ulid): ObjectKey {
  return `${retireKey(vmId, id)}.ask`;
}

export interface PointKey {
  readonly vmId: string;
  readonly id: Ulid;
  readonly isSeal: boolean;
}

export function parsePointKey(key: ObjectKey): PointKey | undefined {
  const [, vmId = '', id = '', ok] = POINT.exec(key) ?? [];
  return isVmId(vmId) && isUlid(id) ? { vmId, id, isSeal: ok !== undefined } : undefined;
}

export function parseRetireRequestKey(key: ObjectKey): { vmId: string; id: Ulid } | undefined {
  const [, vmId = '', id = ''] = RETIRE_REQUEST.exec(key) ?? [];
  return isVmId(vmId) && isUlid(id) ? { vmId, id } : undefined;
}

export function parseRetireKey(key: ObjectKey): { vmId: string; id: Ulid } | undefined {
  const [, vmId = '', id = ''] = RETIRED.exec(key) ?? [];
  return isVmId(vmId) && isUlid(id) ? { vmId, id } : undefined;
}

/** Returns `hold/<vm>/<ulid>.<rand>`. The object that ends the hold has `.end` after that. */
export function holdKey(vmId: string, id: Ulid): ObjectKey {
  return `${PREFIXES.holds}${vmId}/${id}.${randomSuffix()}`;
}

export function holdEndKey(hold: ObjectKey): ObjectKey {
  return `${hold}.end`;
}

export function parseHoldKey(
  key: ObjectKey,
): { vmId: string; id: Ulid; isEnd: boolean } | undefined {
  const [, vmId = '', id = '', , end] = HOLD.exec(key) ?? [];
  return isVmId(vmId) && isUlid(id) ? { vmId, id, isEnd: end !== undefined } : undefined;
}
