import type { RecoveryPoint } from './recovery-point.ts';
import { isUlid, type Ulid } from '../bytes/ulid.ts';

/** What decides a point's place in the order. */
export type OrderedPoint = Pick<RecoveryPoint, 'id' | 'notes'>;

const BROUGHT_BACK = /^Brought back from ([0-9A-Z]{26}), which had been given up\.$/;

/**
 * Returns the note of a point that was brought back: it has the content of the point with this id.
 */
export function broughtBackNote(id: Ulid): string {
  return `Brought back from ${id}, which had been given up.`;
}

/**
 * Returns the id that tells when the content was taken. It is the point's own, which follows all
 * earlier ids of its VM whatever the clock says, except for a point that was brought back: programs
 * used to give it an id of that day, but it is as old as the point that it names.
 */
export function contentId({ id, notes }: OrderedPoint): Ulid {
  for (const note of notes) {
    const [, original] = BROUGHT_BACK.exec(note) ?? [];
    if (original !== undefined && isUlid(original)) {
      return original;
    }
  }
  return id;
}

/** Oldest content first; two points with the same content in the order of their ids. */
export function byContent(a: OrderedPoint, b: OrderedPoint): number {
  return compare(contentId(a), contentId(b)) || compare(a.id, b.id);
}

/** Returns the point with the newest content. */
export function newestContent<Point extends OrderedPoint>(
  points: readonly Point[],
): Point | undefined {
  return points.toSorted(byContent).at(-1);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
