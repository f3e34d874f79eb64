import { Fault } from '../../kernel/fault.ts';
import type { VaultInside } from '../vault-inside.ts';
import { Holds, type Hold } from '../points/holds.ts';
import { listPoints, type ListedPoint } from '../collect/roots/root-points.ts';

/** Lists points that were given up and that no collection has removed yet. */
export async function retiredPoints(
  inside: VaultInside,
  signal: AbortSignal,
): Promise<ListedPoint[]> {
  const listing = await listPoints(inside, new Holds(inside.base, inside.log), signal);
  return listing.dead.filter(({ isSealed }) => isSealed);
}

/** Finds the retired point whose id begins so. @throws Fault `point.unknown` */
export async function retiredPoint(
  inside: VaultInside,
  prefix: string,
  signal: AbortSignal,
): Promise<ListedPoint> {
  const wanted = prefix.toUpperCase();
  const found = (await retiredPoints(inside, signal)).filter(({ id }) => id.startsWith(wanted));
  const [point, another] = found;
  if (point === undefined || another !== undefined) {
    throw new Fault(
      'point.unknown',
      `${found.length === 0 ? 'No' : 'More than one'} recovery point that was given up starts with ${prefix}. Without a point, revive shows those there are.`,
      { point: prefix },
    );
  }
  return point;
}

/** Lists all holds on the held point whose id begins so. @throws Fault `point.unknown` */
export async function holdsOn(
  inside: VaultInside,
  prefix: string,
  signal: AbortSignal,
): Promise<Hold[]> {
  const wanted = prefix.toUpperCase();
  const all = await new Holds(inside.base, inside.log).list(signal);
  const found = all.filter(({ id }) => id.startsWith(wanted));
  const ids = new Set(found.map(({ id }) => id));
  if (ids.size !== 1) {
    throw new Fault(
      'point.unknown',
      ids.size === 0
        ? `No recovery point that is held starts with ${prefix}. Without a point, hold shows those there are.`
        : `${String(ids.size)} recovery points that are held start with ${prefix}. Type more of the id.`,
      { point: prefix },
    );
  }
  return found;
}
