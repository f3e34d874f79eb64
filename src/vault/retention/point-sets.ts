import type { PointOrigin } from '../format/point-origin.ts';

/** What says to which set a point belongs. */
export interface PointOfSet {
  readonly id: string;
  readonly vmId: string;
  readonly takenAtMs: number;
  readonly origin?: Pick<PointOrigin, 'group' | 'members'> | undefined;
}

/** Points of one vault that were taken at one moment. */
export interface PointSet<Point extends PointOfSet = PointOfSet> {
  readonly groupId: string;
  /** Of its first point. */
  readonly takenAtMs: number;
  /** Ids of the VMs that belong to it. */
  readonly members: readonly string[];
  readonly points: readonly Point[];
  /** Ids of the members without a point. */
  readonly missing: readonly string[];
  /** Whether every member has a point. A set that does not say who its members are never is. */
  readonly isComplete: boolean;
}

/** Returns the sets of one vault, in the order of their first points. */
export function pointSets<Point extends PointOfSet>(points: readonly Point[]): PointSet<Point>[] {
  const byGroup = Map.groupBy(points, ({ origin }) => origin?.group);
  return [...byGroup].flatMap(([groupId, own]) => {
    const [first] = own;
    return groupId === undefined || first === undefined ? [] : [setOf(groupId, own, first)];
  });
}

/** Returns the newest set that is complete: the only one that may be chosen as the latest. */
export function latestComplete<Point extends PointOfSet>(
  sets: readonly PointSet<Point>[],
): PointSet<Point> | undefined {
  return sets.findLast(({ isComplete }) => isComplete);
}

/** Says that a set is not whole: its VMs do not come back to one moment. */
export function incompleteText({
  members,
  missing,
}: Pick<PointSet, 'members' | 'missing'>): string {
  return `The point is of an incomplete set: of ${String(members.length)} VMs that were taken at its moment, ${String(missing.length)} have no point in this vault.`;
}

function setOf<Point extends PointOfSet>(
  groupId: string,
  points: readonly Point[],
  { takenAtMs, origin }: Point,
): PointSet<Point> {
  const members = origin?.members ?? [];
  const have = new Set(points.map(({ vmId }) => vmId));
  const missing = members.filter((vmId) => !have.has(vmId));
  const isComplete = members.length > 0 && missing.length === 0;
  return { groupId, takenAtMs, members, points, missing, isComplete };
}
