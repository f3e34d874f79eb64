import { Lru } from '../../kernel/memory/lru.ts';
import { durationMs } from '../document/duration.ts';
import type { PolicyDocument } from '../document/policy-document.ts';
import { nextFireTime } from '../schedule/fire-times.ts';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
/** Of a pattern that fires often, this many fire times stand for the year. */
const SAMPLE_MAX = 200;
const SCHEDULES_MAX = 1000;
const LISTED_PER_REQUEST = 1000;
/** A point has two objects in its list: what it is, and its seal. */
const LISTED_PER_POINT = 2;

/** More would make every look at a vault's points take minutes within a year. */
export const PERMANENT_OBJECTS_MAX = 1_000_000;

/** What a policy does to its vault. */
export interface Load {
  readonly document: PolicyDocument;
  readonly vms: number;
}

/** What a vault holds after some years of its policies. */
export interface VaultYear {
  readonly years: number;
  readonly points: number;
  /** Small objects, one for each point that was given up; they stay for good. */
  readonly retiredObjects: number;
  /** To look at the vault's points once. */
  readonly listRequests: number;
}

export interface VaultForecast {
  readonly vault: string;
  readonly pointsPerYear: number;
  /** Objects per year that nothing removes again. */
  readonly permanentObjectsPerYear: number;
  readonly after: readonly VaultYear[];
}

/** Estimates what policies make of their vaults, if all backups succeed. */
export function forecastVaults(loads: readonly Load[], nowMs: number): VaultForecast[] {
  const byVault = Map.groupBy(loads, ({ document }) => document.vault);
  return [...byVault]
    .map(([vault, own]) => forecast(vault, own, nowMs))
    .toSorted((a, b) => (a.vault < b.vault ? -1 : 1));
}

function forecast(vault: string, loads: readonly Load[], nowMs: number): VaultForecast {
  const parts = loads.map(({ document, vms }) => ({
    pointsPerYear: firesPerYear(document.schedule, nowMs) * vms,
    kept: vms === 0 ? 0 : keptPerVm(document) * vms,
  }));
  const after = [1, 5].map((years): VaultYear => {
    let points = 0;
    let retiredObjects = 0;
    for (const { pointsPerYear, kept } of parts) {
      const taken = Math.round(pointsPerYear * years);
      points += Math.min(taken, kept);
      retiredObjects += Math.max(0, taken - kept);
    }
    return { years, points, retiredObjects, listRequests: listRequests(points, retiredObjects) };
  });
  const pointsPerYear = Math.round(parts.reduce((sum, part) => sum + part.pointsPerYear, 0));
  return { vault, pointsPerYear, permanentObjectsPerYear: pointsPerYear, after };
}

/** Every point leaves one: as long as it is kept, itself; later, that it was given up. */
function keptPerVm({ retention }: PolicyDocument): number {
  if (retention === undefined) {
    return Infinity;
  }
  const { last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0 } = retention;
  return Math.max(retention.atLeast ?? 0, last + hourly + daily + weekly + monthly + yearly);
}

/** Returns how many requests a look at the points of a vault takes. */
export function listRequests(points: number, retiredObjects: number): number {
  return pages(points * LISTED_PER_POINT) + (retiredObjects === 0 ? 0 : pages(retiredObjects));
}

function pages(objects: number): number {
  return Math.max(1, Math.ceil(objects / LISTED_PER_REQUEST));
}

const known = new Lru<string, number>(SCHEDULES_MAX);

/** Counts the fire times of a week, or of a year if they are rare. */
function firesPerYear(schedule: PolicyDocument['schedule'], nowMs: number): number {
  const { every, window } = schedule;
  if (every !== undefined && window === undefined) {
    return YEAR_MS / durationMs(every);
  }
  // From a whole day on, so that the same schedule is counted once.
  const fromMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const key = JSON.stringify([schedule, fromMs]);
  const before = known.get(key);
  if (before !== undefined) {
    return before;
  }
  const inWeek = sample(schedule, fromMs, 7 * DAY_MS);
  const counted = inWeek.fires >= 7 ? inWeek : sample(schedule, fromMs, YEAR_MS);
  const perYear = (counted.fires * YEAR_MS) / counted.spanMs;
  known.set(key, perYear, 1);
  return perYear;
}

function sample(
  schedule: PolicyDocument['schedule'],
  fromMs: number,
  spanMs: number,
): { readonly fires: number; readonly spanMs: number } {
  let fires = 0;
  let atMs = fromMs;
  while (fires < SAMPLE_MAX) {
    const next = nextFireTime(schedule, atMs);
    if (next === undefined || next > fromMs + spanMs) {
      return { fires, spanMs };
    }
    fires += 1;
    atMs = next;
  }
  return { fires, spanMs: atMs - fromMs };
}
