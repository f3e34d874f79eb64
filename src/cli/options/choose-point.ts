import { ID_CHARACTERS_MIN } from '../../kernel/text/by-prefix.ts';
import { Fault } from '../../kernel/fault.ts';
import { vmText, type WhichVm } from './which-vm.ts';

/** What a point must have to be chosen. */
export interface Choosable {
  readonly id: string;
  readonly vmId: string;
  readonly vmName: string;
}

export interface Choice extends WhichVm {
  /** The command that lists the points. */
  readonly listedBy?: string;
}

/** Returns the points of one VM, or of all VMs with one name; all points if no VM is named. */
export function pointsOf<Point extends Choosable>(
  points: readonly Point[],
  { vm, vmId }: WhichVm,
): Point[] {
  const isOfId = isVmId(vmId);
  return points.filter((point) => (vm === undefined || point.vmName === vm) && isOfId(point));
}

/**
 * Returns a test for points of the VM with that id, or whose id begins so; without one, for all
 * points.
 */
export function isVmId(asked: string | undefined): (point: Pick<Choosable, 'vmId'>) => boolean {
  if (asked === undefined) {
    return () => true;
  }
  const prefix = asked.toLowerCase();
  return ({ vmId }) =>
    vmId === asked || (prefix.length >= ID_CHARACTERS_MIN && vmId.startsWith(prefix));
}

/**
 * Returns the point that the user means: `latest`, an id, or the beginning of one.
 *
 * @param points oldest content first, as vault and service list them
 * @throws Fault `point.unknown`; `vm.ambiguous` for the latest of several VMs
 */
export function choosePoint<Point extends Choosable>(
  points: readonly Point[],
  asked: string,
  { listedBy = 'hyperkeep rescue points', ...which }: Choice,
): Point {
  const candidates = pointsOf(points, which);
  if (candidates.length === 0) {
    throw noPoints(points, { ...which, listedBy });
  }
  return asked.toLowerCase() === 'latest'
    ? latest(candidates)
    : byPrefix(candidates, asked, listedBy);
}

/**
 * Removes ids of points that were given up before: repeating an interrupted command repeats its
 * ids.
 */
export function withoutGivenUp(
  asked: readonly string[],
  points: readonly Choosable[],
  givenUp: Iterable<string>,
): { readonly left: readonly string[]; readonly before: readonly string[] } {
  const gone = [...givenUp];
  const begins = (ids: readonly string[], one: string): boolean =>
    one.length >= ID_CHARACTERS_MIN && ids.some((id) => id.startsWith(one.toUpperCase()));
  const standing = points.map(({ id }) => id);
  const before = asked.filter((one) => begins(gone, one) && !begins(standing, one));
  return { left: asked.filter((one) => !before.includes(one)), before };
}

/** Fault for an empty selection. It says whether a VM was named. */
export function noPoints(
  points: readonly Choosable[],
  { listedBy = 'hyperkeep rescue points', ...which }: Choice,
): Fault {
  return new Fault('point.unknown', noneText(points, which, listedBy));
}

function noneText(points: readonly Choosable[], which: WhichVm, listedBy: string): string {
  if (which.vm === undefined && which.vmId === undefined) {
    return 'The vault has no recovery points.';
  }
  const isId = which.vmId === undefined && points.some(({ vmId }) => vmId === which.vm);
  const hint = isId ? ` It is the id of a VM: name it with --vm-id ${which.vm ?? ''}.` : '';
  return `The vault has no recovery points of ${vmText(which)}.${hint} See: ${listedBy}`;
}

function latest<Point extends Choosable>(candidates: readonly Point[]): Point {
  const vms = new Map(candidates.map(({ vmId, vmName }) => [vmId, vmName]));
  const point = candidates.at(-1);
  if (vms.size > 1 || point === undefined) {
    throw new Fault(
      'vm.ambiguous',
      `The vault holds several VMs (${vmsText(vms)}). Say which with --vm NAME, or with --vm-id ID where names repeat.`,
    );
  }
  return point;
}

/** Returns `db, web (id 1b4e…), web (id 9c2a…)`: ids only for names that repeat. */
export function vmsText(vms: ReadonlyMap<string, string>): string {
  const repeated = repeatedNames(vms);
  return [...vms]
    .map(([id, name]) => (repeated.has(name) ? `${name} (id ${id})` : name))
    .sort()
    .join(', ');
}

/** @param vms names by id */
export function repeatedNames(vms: ReadonlyMap<string, string>): Set<string> {
  const byName = Map.groupBy(vms, ([, name]) => name);
  return new Set([...byName].flatMap(([name, of]) => (of.length > 1 ? [name] : [])));
}

function byPrefix<Point extends Choosable>(
  candidates: readonly Point[],
  asked: string,
  listedBy: string,
): Point {
  const prefix = asked.toUpperCase();
  const found = candidates.filter(({ id }) => id.startsWith(prefix));
  const [point, second] = found;
  if (point === undefined || prefix.length < ID_CHARACTERS_MIN) {
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
