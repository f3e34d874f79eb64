import { parsePointKey, pointKey, PREFIXES, retireKey, sealKey } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { listPointNames } from '../points/point-names.ts';
import { keysOf } from './copy-place.ts';

/** Keys of the sealed points at both sides. */
export interface PointsOfBoth {
  readonly sealed: ReadonlySet<ObjectKey>;
  readonly copied: ReadonlySet<ObjectKey>;
  /** Points of the copy that the source does not have. */
  readonly beyond: number;
}

export async function pointsOf(
  source: ObjectStore,
  target: ObjectStore,
  signal: AbortSignal,
): Promise<PointsOfBoth> {
  // Lists the target first: a point missing from the later listing of the source did not just
  // arrive.
  const copied = sealedOf(await keysOf(target, PREFIXES.points, signal));
  const sealed = sealedOf(await keysOf(source, PREFIXES.points, signal));
  const beyond = [...copied].filter((key) => !sealed.has(key)).length;
  return { sealed, copied, beyond };
}

/** Returns seals of the source whose points are gone although nobody gave them up. */
export async function lostPoints(source: ObjectStore, signal: AbortSignal): Promise<ObjectKey[]> {
  const lost: ObjectKey[] = [];
  const { strays } = await listPointNames(source, signal);
  const has = async (key: ObjectKey): Promise<boolean> =>
    (await source.getRange(key, { offset: 0, length: 1 }, signal)) !== undefined;
  for (const { vmId, id } of strays) {
    const [point, seal] = [pointKey(vmId, id), sealKey(vmId, id)];
    const isLost = !(await has(point)) && (await has(seal));
    if (isLost && !(await has(retireKey(vmId, id)))) {
      lost.push(point);
    }
  }
  return lost;
}

function sealedOf(keys: ReadonlySet<ObjectKey>): Set<ObjectKey> {
  const sealed = new Set<ObjectKey>();
  for (const key of keys) {
    const point = parsePointKey(key);
    if (point?.isSeal === false && keys.has(sealKey(point.vmId, point.id))) {
      sealed.add(key);
    }
  }
  return sealed;
}
