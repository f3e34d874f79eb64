import { isFault } from '../../../kernel/fault.ts';
import type { PointStore } from '../../points/point-store.ts';
import type { PointName } from '../../points/retirements.ts';
import { incomplete } from './proven-points.ts';

/**
 * Checks points that a catalog is about to forget because the vault no longer lists them.
 * @param known points that were sealed before `listed` was listed
 * @returns those that are gone and that nobody gave up
 * @throws Fault `vault.list-incomplete` if one of them is there, whole and not given up
 */
export async function vanishedPoints(
  points: PointStore,
  known: readonly PointName[],
  listed: readonly Pick<PointName, 'id'>[],
  signal: AbortSignal,
): Promise<PointName[]> {
  const ids = new Set(listed.map(({ id }) => id));
  const vanished: PointName[] = [];
  const leftOut: PointName[] = [];
  for (const name of known.filter(({ id }) => !ids.has(id))) {
    if (await points.isRetired(name, signal)) {
      continue;
    }
    if (!(await points.exists(name, signal))) {
      vanished.push(name);
    } else if (await isWhole(points, name, signal)) {
      leftOut.push(name);
    }
  }
  if (leftOut.length > 0) {
    throw incomplete(leftOut);
  }
  return vanished;
}

/** Lists leave damaged points out on purpose. */
async function isWhole(points: PointStore, name: PointName, signal: AbortSignal): Promise<boolean> {
  try {
    await points.load(name, signal);
    return true;
  } catch (error) {
    if (!isFault(error) || (error.kind !== 'integrity' && error.kind !== 'not-found')) {
      throw error;
    }
    return false;
  }
}
