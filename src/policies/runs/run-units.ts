import type { StoredRun } from '../../catalog/run-rows.ts';
import type { KnownPolicy } from '../known-policy.ts';

/** Runs that get one job: one alone, or those of a group's VMs at one fire time. */
export interface RunUnit {
  readonly runs: readonly StoredRun[];
  readonly policy: KnownPolicy;
}

interface StartableRun {
  readonly run: StoredRun;
  readonly policy: KnownPolicy;
}

/**
 * Returns what may start together, in the order of the first of each. A group starts only when each
 * of its runs that has not ended may: they have one moment.
 *
 * @param unfinished all runs that have not ended
 */
export function unitsOf(
  startable: readonly StartableRun[],
  unfinished: readonly StoredRun[],
): RunUnit[] {
  const units = new Map<string, RunUnit>();
  for (const { run, policy } of startable) {
    if (policy.document.group === undefined) {
      units.set(run.id, { runs: [run], policy });
      continue;
    }
    const key = groupKeyOf(run);
    const runs = [...(units.get(key)?.runs ?? []), run];
    units.set(key, { runs, policy });
  }
  const amounts = Map.groupBy(unfinished, groupKeyOf);
  return [...units.values()].filter(({ runs: [first, ...others], policy }) => {
    const whole = policy.document.group === undefined || first === undefined;
    return whole || amounts.get(groupKeyOf(first))?.length === others.length + 1;
  });
}

function groupKeyOf({ policyId, fireAtMs }: StoredRun): string {
  return `${policyId} ${String(fireAtMs)}`;
}
