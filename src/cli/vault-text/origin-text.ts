import { type Point } from '../../api/contract/points.ts';
import { type ShowTime } from './show-time.ts';

type WithOrigin = Pick<Point, 'origin'>;

/** Returns what a point counts as: by hand if it does not say where it comes from. */
export function originKind({ origin }: WithOrigin): string {
  return origin?.kind ?? 'hand';
}

/** Returns all that a point says of where it comes from. */
export function originText(point: WithOrigin, time: ShowTime): string {
  if (point.origin === undefined) {
    return 'not said, counts as by hand';
  }
  const { policy, revision, run, attempt, fireAtMs, group, actor, service } = point.origin;
  const named = { id: policy, revision, run, attempt, group, 'asked for by': actor, service };
  const due = fireAtMs === undefined ? [] : [`due ${time(fireAtMs)}`];
  const facts = Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${String(value)}`],
  );
  return [originKind(point), ...due, ...facts].join(', ');
}
