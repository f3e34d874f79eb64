import { Fault } from '../../../kernel/fault.ts';
import { parsePointKey, pointKey, PREFIXES } from '../../format/object-names.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import { decodePoint, type PointDocument } from '../../points/point-object.ts';
import type { PointName } from '../../points/retirements.ts';
import type { BeingRead } from '../../records/lease-terms.ts';
import { ReadingLeases } from '../../records/reading-leases.ts';
import type { CollectParts } from '../collect-options.ts';
import type { Hold, Holds } from '../../points/holds.ts';

/** What `s/` holds, as a collector sees it. */
export interface PointListing {
  /** Data must stay of those not retired, sealed or not, and of all that are held or read. */
  readonly roots: readonly ListedPoint[];
  /** Retired, not held and not being read. */
  readonly dead: readonly ListedPoint[];
  readonly retired: readonly PointName[];
  readonly holds: readonly Hold[];
  /** Points that somebody reads now: docs/service-records.md. */
  readonly beingRead: readonly BeingRead[];
  /** Seals without a point: a seal is put after its point, and removed before it. */
  readonly strays: readonly PointName[];
}

export interface ListedPoint extends PointName {
  readonly isSealed: boolean;
  readonly bytes: number;
}

/**
 * G0.b: lists in this order: `retire/` to its end, then `s/`, then `hold/`. A child of a retired
 * point that is missing in the listing of `s/` was put later, and its writer sees that the parent
 * is retired.
 */
export async function listPoints(
  { base, points, clock, log }: CollectParts,
  holds: Holds,
  signal: AbortSignal,
): Promise<PointListing> {
  const retired = await points.retiredNames(signal);
  const retiredIds = new Set(retired.map(({ id }) => id));
  const listed = new Map<ObjectKey, ListedPoint>();
  const seals = new Map<ObjectKey, PointName>();
  for await (const { key, size } of base.store.list(PREFIXES.points, signal)) {
    const name = parsePointKey(key);
    if (name?.isSeal === true) {
      seals.set(pointKey(name.vmId, name.id), { vmId: name.vmId, id: name.id });
    } else if (name !== undefined) {
      listed.set(key, { vmId: name.vmId, id: name.id, isSealed: false, bytes: size });
    }
  }
  const inForce = await holds.list(signal);
  const beingRead = await new ReadingLeases({ base, clock, log }).list(signal);
  const held = new Set([...inForce, ...beingRead].map(({ vmId, id }) => pointKey(vmId, id)));
  const roots: ListedPoint[] = [];
  const dead: ListedPoint[] = [];
  // G0.d.
  for (const [key, point] of listed) {
    const list = retiredIds.has(point.id) && !held.has(key) ? dead : roots;
    list.push({ ...point, isSealed: seals.has(key) });
  }
  const strays = [...seals].filter(([key]) => !listed.has(key)).map(([, name]) => name);
  return { roots, dead, retired, holds: inForce, beingRead, strays };
}

/**
 * Reads a root, sealed or not.
 * @returns undefined if it is gone
 * @throws Fault `vault.point-corrupt`, `vault.format-newer`
 */
export async function readRoot(
  { base }: CollectParts,
  { vmId, id }: PointName,
  signal: AbortSignal,
): Promise<PointDocument | undefined> {
  const key = pointKey(vmId, id);
  const object = await base.store.get(key, signal);
  if (object === undefined) {
    return undefined;
  }
  refuseUncollectable(key, object);
  return decodePoint(base.keys, { vmId, id }, object);
}

const NO_COLLECT_OFFSET = 44;

/** G0.e: refuses a point that a newer program marked: not all that it needs can be known here. */
function refuseUncollectable(key: ObjectKey, object: Uint8Array): void {
  const header = Buffer.from(object.buffer, object.byteOffset, object.length);
  const bits = header.length >= NO_COLLECT_OFFSET + 4 ? header.readUInt32LE(NO_COLLECT_OFFSET) : 0;
  if (bits !== 0) {
    throw new Fault(
      'vault.format-newer',
      `${key} uses features (${bits.toString(2)}) with which this program cannot collect. Nothing was removed; use a newer program.`,
      { key, features: bits },
    );
  }
}
