import { byContent, contentId } from './point-order.ts';
import type { PointStore, StoredPoint } from './point-store.ts';
import { ulidTimeMs } from '../bytes/ulid.ts';

export interface NewestPoint {
  readonly parent?: StoredPoint;
  /** Time of the newest id of the VM, even of a point that was given up. */
  readonly reachedMs: number;
}

/**
 * Returns the point that the next one of the VM builds on: of the sealed, whole points that are not
 * retired, the one with the newest content (W0.c).
 */
export async function newestPoint(
  points: PointStore,
  vmId: string,
  signal: AbortSignal,
): Promise<NewestPoint> {
  const names = (await points.sealed(signal, vmId)).reverse();
  const reachedMs = names[0] === undefined ? 0 : ulidTimeMs(names[0].id);
  let parent: StoredPoint | undefined;
  for (const name of names) {
    if (parent !== undefined && name.id < contentId(parent.point)) {
      // No later entry has newer content.
      break;
    }
    const found = await points.loadStanding(name, signal);
    if (found !== undefined && (parent === undefined || byContent(found.point, parent.point) > 0)) {
      parent = found;
    }
  }
  return { reachedMs, ...(parent && { parent }) };
}
