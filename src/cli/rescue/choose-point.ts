import { Fault } from '../../kernel/fault.ts';
import { type RecoveryPoint } from '../../vault/recovery-point.ts';
import { newest } from './import-plan.ts';

const PREFIX_CHARACTERS_MIN = 4;

/** The points of one VM, by its name or id; all of them without. */
export function pointsOf(
  points: readonly RecoveryPoint[],
  vm: string | undefined,
): RecoveryPoint[] {
  return points.filter((point) => vm === undefined || point.vmName === vm || point.vmId === vm);
}

/**
 * The point that the user means: `latest`, an id, or the beginning of one.
 *
 * @throws Fault `point.unknown`; `vm.ambiguous` for the latest of several VMs
 */
export function choosePoint(
  points: readonly RecoveryPoint[],
  asked: string,
  vm: string | undefined,
): RecoveryPoint {
  const candidates = pointsOf(points, vm);
  if (candidates.length === 0) {
    throw new Fault(
      'point.unknown',
      vm === undefined
        ? 'The vault has no recovery points.'
        : `The vault has no recovery points of ${vm}. See: hyperkeep rescue points`,
    );
  }
  return asked.toLowerCase() === 'latest' ? latest(candidates) : byPrefix(candidates, asked);
}

function latest(candidates: readonly RecoveryPoint[]): RecoveryPoint {
  const vms = new Map(candidates.map(({ vmId, vmName }) => [vmId, vmName]));
  const point = newest(candidates);
  if (vms.size > 1 || point === undefined) {
    throw new Fault(
      'vm.ambiguous',
      `The vault holds several VMs (${[...vms.values()].sort().join(', ')}). Say which with --vm NAME, or its id where names repeat.`,
    );
  }
  return point;
}

function byPrefix(candidates: readonly RecoveryPoint[], asked: string): RecoveryPoint {
  const prefix = asked.toUpperCase();
  const found = candidates.filter(({ id }) => id.startsWith(prefix));
  const [point, second] = found;
  if (point === undefined || prefix.length < PREFIX_CHARACTERS_MIN) {
    throw new Fault(
      'point.unknown',
      `No recovery point's id starts with ${asked}. See: hyperkeep rescue points`,
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
