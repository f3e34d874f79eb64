import { integrityOrThrow } from '../../../kernel/fault.ts';
import { pointKey } from '../../format/object-names.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import type { PointName } from '../../points/retirements.ts';
import { ulidTimeMs } from '../../bytes/ulid.ts';
import type { CollectOptions, CollectParts } from '../collect-options.ts';
import type { RootMarking } from './root-marking.ts';
import { readRoot, type ListedPoint } from './root-points.ts';

export interface AbandonedOptions extends Pick<CollectOptions, 'knownPoints'> {
  /** Points without a seal whose name is older are given up. */
  readonly abandonedMs: number;
}

/**
 * Gives up the points whose writers asked for it, and those that nobody will seal any more. Runs
 * before `retire/` is listed. A point that a child or the caller's catalog shows to have been
 * sealed has lost its seal and is not given up.
 */
export async function giveUpAbandoned(
  parts: CollectParts,
  roots: RootMarking,
  { abandonedMs, knownPoints = [] }: AbandonedOptions,
  signal: AbortSignal,
): Promise<PointName[]> {
  const { base, points, clock, log } = parts;
  if (!base.keys.retention.canSign) {
    return [];
  }
  const now = clock.nowMs();
  const listed = (await roots.list()).roots;
  const old = listed.filter(({ id, isSealed }) => !isSealed && ulidTimeMs(id) < now - abandonedMs);
  const once = new Set(knownPoints.map(keyOf));
  for (const key of old.length === 0 ? [] : await parentsOf(parts, listed, signal)) {
    once.add(key);
  }
  for (const point of old) {
    if (once.has(keyOf(point))) {
      log.error('vault.seal-missing', { vmId: point.vmId, pointId: point.id });
    } else if (!(await roots.isHeld(point))) {
      // G0.i. Only asks: the writer may still put the seal, look for such a request, and report
      // success. `answerRequests` settles it by looking for the seal itself.
      await points.ask(point, now, signal);
    }
  }
  return points.answerRequests(now, signal);
}

/**
 * Returns the parents of sealed points. They were sealed once: a writer builds only on sealed
 * points.
 */
async function parentsOf(
  parts: CollectParts,
  listed: readonly ListedPoint[],
  signal: AbortSignal,
): Promise<Set<ObjectKey>> {
  const parents = new Set<ObjectKey>();
  for (const point of listed.filter(({ isSealed }) => isSealed)) {
    try {
      const parent = (await readRoot(parts, point, signal))?.parent;
      if (parent !== undefined) {
        parents.add(keyOf({ vmId: point.vmId, id: parent.id }));
      }
    } catch (error) {
      const { code } = integrityOrThrow(error);
      // Marking reads the same point and ends the collection.
      parts.log.warn('vault.point-damaged', { pointId: point.id, code });
    }
  }
  return parents;
}

function keyOf({ vmId, id }: PointName): ObjectKey {
  return pointKey(vmId, id);
}

/** @returns false if the point is sealed after all, or if this machine lacks the retention key */
export async function giveUpUnreadable(
  { base, points, clock }: CollectParts,
  point: PointName,
  signal: AbortSignal,
): Promise<boolean> {
  if (!base.keys.retention.canSign) {
    return false;
  }
  await points.ask(point, clock.nowMs(), signal);
  const givenUp = await points.answerRequests(clock.nowMs(), signal);
  return givenUp.some(({ id }) => id === point.id);
}
