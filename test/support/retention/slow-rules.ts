import { GFS_RULES, type GfsRule } from '../../../src/policies/retention/periods.ts';
import type { KeepRules } from '../../../src/policies/retention/keep-rules.ts';

const DAY_MS = 86_400_000;

/**
 * Says which points the rules keep, as the documentation words it and with none of the code that is
 * tested: calendars are those of `Intl`, and weeks are walked day by day.
 */
export function slowlyKept(
  newestFirst: readonly { readonly id: string; readonly takenAtMs: number }[],
  rules: KeepRules,
): Set<string> {
  const kept = new Set<string>();
  const givenUp = new Set<string>();
  for (const rule of GFS_RULES) {
    const named = newestFirst.map(({ id, takenAtMs }) => ({
      id,
      period: rule === 'last' ? id : slowPeriod(rule, rules.zone, takenAtMs),
    }));
    const done = new Set(named.filter(({ id }) => kept.has(id)).map(({ period }) => period));
    const open = named.filter(
      ({ id, period }) => !kept.has(id) && !givenUp.has(id) && !done.has(period),
    );
    const byPeriod = [...Map.groupBy(open, ({ period }) => period).values()];
    for (const [newest, ...others] of byPeriod.slice(0, rules[rule] ?? 0)) {
      kept.add(newest?.id ?? '');
      for (const { id } of others) {
        givenUp.add(id);
      }
    }
  }
  return kept;
}

function slowPeriod(rule: Exclude<GfsRule, 'last'>, zone: string, instantMs: number): string {
  const parts = partsOf(zone, instantMs);
  const { year = '', month = '', day = '', hour = '' } = parts;
  switch (rule) {
    case 'hourly':
      return [year, month, day, hour].join(' ');
    case 'daily':
      return [year, month, day].join(' ');
    case 'weekly':
      return slowWeek(Number(year), Number(month), Number(day));
    case 'monthly':
      return [year, month].join(' ');
    case 'yearly':
      return year;
  }
}

/** A week is named by its Monday. */
function slowWeek(year: number, month: number, day: number): string {
  let at = Date.UTC(year, month - 1, day);
  while (
    new Intl.DateTimeFormat('en', { weekday: 'short', timeZone: 'UTC' }).format(at) !== 'Mon'
  ) {
    at -= DAY_MS;
  }
  return new Date(at).toISOString();
}

const formats = new Map<string, Intl.DateTimeFormat>();

function partsOf(zone: string, instantMs: number): Record<string, string> {
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
    });
  formats.set(zone, format);
  return Object.fromEntries(
    format.formatToParts(instantMs).map(({ type, value }) => [type, value]),
  );
}
