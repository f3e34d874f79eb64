import { Fault } from '../kernel/fault.ts';

const PREFIX_CHARACTERS_MIN = 4;

/** What a point must say of itself to be chosen. */
export interface Choosable {
  readonly id: string;
  readonly vmId: string;
  readonly vmName: string;
}

export interface Choice {
  /** Name or id; undefined: any VM. */
  readonly vm?: string | undefined;
  /** The command that lists the points. */
  readonly listedBy?: string;
}

/** The points of one VM, by its name or id; all of them without. */
export function pointsOf<Point extends Choosable>(
  points: readonly Point[],
  vm: string | undefined,
): Point[] {
  return points.filter((point) => vm === undefined || point.vmName === vm || point.vmId === vm);
}

/**
 * The point that the user means: `latest`, an id, or the beginning of one.
 *
 * @throws Fault `point.unknown`; `vm.ambiguous` for the latest of several VMs
 */
export function choosePoint<Point extends Choosable>(
  points: readonly Point[],
  asked: string,
  { vm, listedBy = 'hyperkeep rescue points' }: Choice,
): Point {
  const candidates = pointsOf(points, vm);
  if (candidates.length === 0) {
    throw new Fault(
      'point.unknown',
      vm === undefined
        ? 'The vault has no recovery points.'
        : `The vault has no recovery points of ${vm}. See: ${listedBy}`,
    );
  }
  return asked.toLowerCase() === 'latest'
    ? latest(candidates)
    : byPrefix(candidates, asked, listedBy);
}

/**
 * Takes out of what was asked the points that were given up before: whoever repeats a command that was stopped half way
 * types the same ids.
 */
export function withoutGivenUp(
  asked: readonly string[],
  points: readonly Choosable[],
  givenUp: Iterable<string>,
): { readonly left: readonly string[]; readonly before: readonly string[] } {
  const gone = [...givenUp];
  const begins = (ids: readonly string[], one: string): boolean =>
    one.length >= PREFIX_CHARACTERS_MIN && ids.some((id) => id.startsWith(one.toUpperCase()));
  const standing = points.map(({ id }) => id);
  const before = asked.filter((one) => begins(gone, one) && !begins(standing, one));
  return { left: asked.filter((one) => !before.includes(one)), before };
}

function latest<Point extends Choosable>(candidates: readonly Point[]): Point {
  const vms = new Map(candidates.map(({ vmId, vmName }) => [vmId, vmName]));
  const point = candidates.toSorted((a, b) => (a.id < b.id ? -1 : 1)).at(-1);
  if (vms.size > 1 || point === undefined) {
    throw new Fault(
      'vm.ambiguous',
      `The vault holds several VMs (${[...vms.values()].sort().join(', ')}). Say which with --vm NAME, or its id where names repeat.`,
    );
  }
  return point;
}

function byPrefix<Point extends Choosable>(
  candidates: readonly Point[],
  asked: string,
  listedBy: string,
): Point {
  const prefix = asked.toUpperCase();
  const found = candidates.filter(({ id }) => id.startsWith(prefix));
  const [point, second] = found;
  if (point === undefined || prefix.length < PREFIX_CHARACTERS_MIN) {
    throw new Fault(
      'point.unknown',
      `No recovery point's id starts with ${asked}. See: ${listedBy}`,
      { point: asked },
    );
  }
  if (second !== undefined) {
    throw new Fault(
      'request.invalid',
      `${String(found.length)} recovery points start with ${asked}. Type more of the id.`,
      { point: asked },
    );
  }
  return point;
}
