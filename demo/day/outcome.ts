import type { Point } from '../../src/api/contract/points.ts';
import type { Run } from '../../src/api/contract/policy/runs.ts';
import { formatTable } from '../../src/cli/terminal/table.ts';
import { hourText } from './fast-clock.ts';

/** Returns what happened to a run, in a few words. */
export function outcomeOf({ state, attempt, why, fault }: Run): string {
  const tries = attempt > 1 ? ` (attempt ${String(attempt)})` : '';
  const reason = state === 'sealed' ? '' : [fault?.code, why].filter((part) => part).join(', ');
  return `${state}${tries}${reason === '' ? '' : `: ${reason}`}`;
}

/** Returns the runs by fire time, the oldest first. */
export function byHour(runs: readonly Run[]): [number, Run[]][] {
  return [...Map.groupBy(runs, ({ fireAtMs }) => fireAtMs)].sort(([a], [b]) => a - b);
}

/** Returns a table: an hour a line, a VM a column. */
export function dayTable(runs: readonly Run[], vms: readonly string[]): string {
  const columns = ['HOUR (UTC)', ...vms.map((name) => name.toUpperCase())];
  return formatTable(
    columns.map((title) => ({ title })),
    byHour(runs).map(([fireAtMs, own]) => [
      hourText(fireAtMs),
      ...vms.map((name) => {
        const run = own.find(({ vmName }) => vmName === name);
        return run === undefined ? '-' : outcomeOf(run);
      }),
    ]),
  );
}

/** Returns what contradicts that every sealed run has exactly one point, which is its own. */
export function contradictions(runs: readonly Run[], points: readonly Point[]): string[] {
  const owned = Map.groupBy(points, ({ origin }) =>
    origin?.kind === 'policy' ? origin.run : undefined,
  );
  return runs
    .filter(({ state }) => state === 'sealed')
    .flatMap(({ id, pointId }) => {
      const own = (owned.get(id) ?? []).map((point) => point.id);
      return own.length === 1 && own[0] === pointId
        ? []
        : [`run ${id} is sealed with ${pointId ?? 'no point'}, the vault has: ${own.join(', ')}`];
    });
}
