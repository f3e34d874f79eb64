import { wallOf } from '../../kernel/time/zone-time.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Two years. */
const HOURS_MAX = 17_520;
/** Of a `Date`, less a day for the zone. */
const INSTANT_MS_MAX = 8.64e15 - DAY_MS;
const MONDAY = 1;
const THURSDAY = 4;

/** The rules of a policy that keep points, in the order in which they choose. */
export const GFS_RULES = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type GfsRule = (typeof GFS_RULES)[number];
export type PeriodRule = Exclude<GfsRule, 'last'>;

/** The periods in which an instant lies, by the wall clock of a zone; weeks are those of ISO. */
export type Periods = Readonly<Record<PeriodRule, string>>;

/** By hour of a wall clock. */
const known = new Map<number, Periods>();

/**
 * Returns the names of the periods. An hour that the clock shows twice is one period: people see
 * one.
 */
export function periodsOf(zone: string, instantMs: number): Periods {
  const hour = Math.floor(wallOf(zone, Math.min(instantMs, INSTANT_MS_MAX)) / HOUR_MS);
  let periods = known.get(hour);
  if (periods === undefined) {
    periods = periodsIn(hour * HOUR_MS);
    if (known.size === HOURS_MAX) {
      known.clear();
    }
    known.set(hour, periods);
  }
  return periods;
}

function periodsIn(wallMs: number): Periods {
  const hourly = new Date(wallMs).toISOString().slice(0, 'yyyy-mm-ddThh'.length);
  return {
    hourly,
    daily: hourly.slice(0, 'yyyy-mm-dd'.length),
    weekly: isoWeek(wallMs),
    monthly: hourly.slice(0, 'yyyy-mm'.length),
    yearly: hourly.slice(0, 'yyyy'.length),
  };
}

/** A week belongs to the year in which its Thursday lies. */
function isoWeek(wallMs: number): string {
  const day = Math.floor(wallMs / DAY_MS);
  const weekday = new Date(wallMs).getUTCDay() || 7;
  const thursday = day - (weekday - MONDAY) + (THURSDAY - MONDAY);
  const year = new Date(thursday * DAY_MS).getUTCFullYear();
  const week = Math.floor((thursday - Date.UTC(year, 0, 1) / DAY_MS) / 7) + 1;
  return `${String(year)}-W${String(week).padStart(2, '0')}`;
}
