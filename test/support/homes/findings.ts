import { formatTable } from '../../../src/cli/terminal/table.ts';
import { FAULTS } from '../../../src/kernel/fault.ts';
import type { SeenLimit } from './limits-watch.ts';

/** A row of the table `run`, as much of it as is looked at. */
export interface RunEvidence {
  readonly id: string;
  readonly vm_id: string;
  readonly vm_name: string;
  readonly state: string;
  readonly why: string | null;
  readonly attempt: number;
  readonly fault: { readonly code: string; readonly message: string } | null;
  readonly point_id: string | null;
}

/** A sealed point of the vault. */
export interface PointEvidence {
  readonly id: string;
  /** Of which run it is, by its origin. */
  readonly run: string | undefined;
  /** What a verification at level 3 found. */
  readonly problems: readonly string[];
}

/** What is there when everything was left alone for a while. */
export interface Evidence {
  readonly runs: readonly RunEvidence[];
  readonly points: readonly PointEvidence[];
  readonly limits: readonly SeenLimit[];
  /** Names of VMs that are frozen, or that somebody holds. */
  readonly frozen: readonly string[];
  /** VMs whose newest point is not what their disks held at that moment. */
  readonly different: readonly string[];
}

const SEALED_SHARE_MIN = 0.9;

/** Returns what contradicts that policies lose and double no point, a sentence each. */
export function problemsOf(evidence: Evidence): string[] {
  const { runs, points, limits } = evidence;
  const sealed = runs.filter(({ state }) => state === 'sealed');
  return [
    ...creditProblems(evidence),
    ...(sealed.length < runs.length * SEALED_SHARE_MIN
      ? [`only ${String(sealed.length)} of ${String(runs.length)} runs are sealed`]
      : []),
    ...runs.filter((run) => !isExplained(run)).map((run) => `nobody understands ${told(run)}`),
    ...limits
      .filter(({ most, limit }) => most > limit)
      .map(({ what, most, limit }) => `${what}: ${String(most)} at once, at most ${String(limit)}`),
    ...points.flatMap(({ id, problems: found }) => found.map((each) => `point ${id}: ${each}`)),
    ...evidence.frozen.map((vm) => `${vm} is frozen, or held by nobody who lives`),
    ...evidence.different.map((vm) => `the newest point of ${vm} is not what its disks held`),
  ];
}

/**
 * Exactly one point is credited to each sealed run, and none to another one. A second point would
 * be allowed if two attempts had been at work at once: a service that was killed does not work.
 */
function creditProblems({ runs, points }: Evidence): string[] {
  const owned = Map.groupBy(points, ({ run }) => run);
  const known = new Set<string | undefined>(runs.map(({ id }) => id));
  const strange = points.filter(({ run }) => !known.has(run));
  return [
    ...strange.map(({ id }) => `nobody asked for the point ${id}`),
    ...runs.flatMap((run) => {
      const own = (owned.get(run.id) ?? []).map(({ id }) => id);
      if (run.state !== 'sealed') {
        return own.map((id) => `the point ${id} is there, its run is not sealed: ${told(run)}`);
      }
      return [
        ...(own.includes(run.point_id ?? '') ? [] : [`the vault has no point of ${told(run)}`]),
        ...(own.length > 1 ? [`${String(own.length)} points of ${told(run)}`] : []),
      ];
    }),
  ];
}

/** Whether a person can understand why a run has no point. */
function isExplained({ state, why, fault }: RunEvidence): boolean {
  switch (state) {
    case 'sealed':
      return true;
    case 'skipped':
      return (why ?? '') !== '';
    case 'failed':
      return fault !== null && Object.hasOwn(FAULTS, fault.code) && fault.message !== '';
    default:
      return false;
  }
}

function told({ id, vm_name: vm, state, why, attempt, fault }: RunEvidence): string {
  const reasons = [why, fault?.code].filter((reason) => reason !== null && reason !== undefined);
  return `run ${id} of ${vm}, ${state} after attempt ${String(attempt)} (${reasons.join(', ')})`;
}

/** Returns how the runs ended, and the most that was used at once. */
export function findingsTable({ runs, points, limits }: Evidence): string {
  const ends = Map.groupBy(runs, ({ state, why, fault }) => {
    return state === 'sealed' ? state : [state, why, fault?.code].filter(Boolean).join(', ');
  });
  const attempts = runs.map(({ attempt }) => attempt);
  const rows = [
    ...[...ends].map(([end, own]) => [`runs: ${end}`, String(own.length)]),
    ['runs that needed more than one attempt', String(attempts.filter((n) => n > 1).length)],
    ['attempts of the run that needed most', String(Math.max(0, ...attempts))],
    ['points in the vault', String(points.length)],
    ...limits.map(({ what, most, limit }) => [`${what}, at most ${String(limit)}`, String(most)]),
  ];
  return formatTable([{ title: 'FOUND' }, { title: 'COUNT', align: 'right' }], rows);
}
