import type { PointName } from '../retirements.ts';
import { ulidTimeMs } from '../ulid.ts';
import type { CollectParts } from './collect-options.ts';
import type { RootMarking } from './root-marking.ts';

/**
 * Before `retire/` is listed: what writers asked for, and points that nobody will seal any more.
 * @param abandonedMs points without a seal whose name is older are given up
 */
export async function giveUpAbandoned(
  { base, points, clock }: CollectParts,
  roots: RootMarking,
  abandonedMs: number,
  signal: AbortSignal,
): Promise<PointName[]> {
  if (!base.keys.retention.canSign) {
    return [];
  }
  const now = clock.nowMs();
  for (const point of (await roots.list()).roots) {
    const isOld = ulidTimeMs(point.id) < now - abandonedMs;
    // Only asked for here: its writer may put the seal at any moment, look whether anybody asked, and report
    // success. Requests are answered when that is settled, by a look for the seal itself.
    if (!point.isSealed && isOld && !(await roots.isHeld(point))) {
      await points.ask(point, now, signal);
    }
  }
  return points.answerRequests(now, signal);
}

/** @returns false if it was sealed after all, or if only a holder of the retention key could do it */
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
