import type { Point } from '../../api/contract/points.ts';
import type { ShowTime } from './show-time.ts';

type WithOrigin = Pick<Point, 'origin'> & {
  readonly set?: Pick<SetOfPoint, 'isComplete'> | undefined;
};
type SetOfPoint = NonNullable<Point['set']>;

/**
 * Returns what a point counts as, such as `policy nightly`: by hand if it does not say where it
 * comes from.
 */
export function originCell({ origin, set }: WithOrigin): string {
  return [
    origin?.kind ?? 'hand',
    ...(origin?.policy === undefined ? [] : [origin.policy]),
    ...(set?.isComplete === false ? ['(INCOMPLETE set)'] : []),
  ].join(' ');
}

/** Returns all that a point says of where it comes from. */
export function originText(point: WithOrigin, time: ShowTime): string {
  if (point.origin === undefined) {
    return 'not said, counts as by hand';
  }
  const { revision, run, attempt, fireAtMs, group, actor, service } = point.origin;
  const named = { revision, run, attempt, group, 'asked for by': actor, service };
  const due = fireAtMs === undefined ? [] : [`due ${time(fireAtMs)}`];
  const facts = Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${String(value)}`],
  );
  return [originCell(point), ...due, ...facts].join(', ');
}
