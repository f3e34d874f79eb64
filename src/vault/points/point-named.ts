import { Fault } from '../../kernel/fault.ts';
import { onlySeal } from './point-names.ts';
import { notFound, type PointStore } from './point-store.ts';
import type { PointName } from './retirements.ts';

const CANDIDATES_MAX = 100;

/**
 * Returns the sealed point, not retired, with this id, or the only one whose id begins so.
 * @throws Fault `vault.point-not-found`, `vault.point-corrupt` if only its seal is left
 */
export async function pointNamed(
  points: PointStore,
  idOrPrefix: string,
  signal: AbortSignal,
): Promise<PointName> {
  const wanted = idOrPrefix.toUpperCase();
  const found = (await points.sealed(signal)).filter(({ id }) => id.startsWith(wanted));
  const matching: PointName[] = [];
  for (const name of wanted === '' ? [] : found.slice(0, CANDIDATES_MAX)) {
    if (!(await points.isRetired(name, signal))) {
      matching.push(name);
    }
  }
  const [only, another] = matching;
  if (only === undefined) {
    const lost = await points.lost(signal);
    const [named] = lost.filter(({ id }) => wanted !== '' && id.startsWith(wanted));
    throw named === undefined ? notFound(idOrPrefix.slice(0, 64)) : onlySeal(named);
  }
  if (another !== undefined) {
    throw new Fault(
      'vault.point-not-found',
      `More than one recovery point begins with ${wanted}. Give more of its id.`,
    );
  }
  return only;
}
