import { isFault } from '../../kernel/fault.ts';
import { pointKey } from '../layout.ts';
import type { ObjectKey } from '../object-store.ts';
import type { PointName } from '../retirements.ts';
import { ulidTimeMs } from '../ulid.ts';
import type { CollectOptions, CollectParts } from './collect-options.ts';
import type { RootMarking } from './root-marking.ts';
import { readRoot, type ListedPoint } from './root-points.ts';

export interface AbandonedOptions extends Pick<CollectOptions, 'knownPoints'> {
  /** Points without a seal whose name is older are given up. */
  readonly abandonedMs: number;
}

/**
 * Before `retire/` is listed: what writers asked for, and points that nobody will seal any more.
 * One that was sealed once, as a child or the caller's catalog shows, has lost its seal and is not
 * given up.
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
      // Only asked for here: its writer may put the seal at any moment, look whether anybody asked,
      // and report success. Requests are answered when that is settled, by a look for the seal
      // itself.
      await points.ask(point, now, signal);
    }
  }
  return points.answerRequests(now, signal);
}

/** Points that sealed ones were made from: writers build on nothing without a seal. */
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
      if (!isFault(error) || error.kind !== 'integrity') {
        throw error;
      }
      // Marking ends the collection because of it.
      parts.log.warn('vault.point-damaged', { pointId: point.id, code: error.code });
    }
  }
  return parents;
}

function keyOf({ vmId, id }: PointName): ObjectKey {
  return pointKey(vmId, id);
}

/**
 * @returns false if it was sealed after all, or if only a holder of the retention key could do it
 */
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
