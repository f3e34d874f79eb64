import type { PolicyDocument } from '../document/policy-document.ts';
import { nextFireTime } from '../schedule/fire-times.ts';
import { rulesOf } from './point-judges.ts';
import { planRetention, type JudgedPoint, type Reason } from './retention-plan.ts';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
/** More fire times than these in a year are not gone through: one every five minutes. */
const FIRES_MAX = 110_000;

/** A point as it will be there, and why. */
export interface ForecastPoint {
  readonly takenAtMs: number;
  readonly because: readonly Reason[];
}

/** What one VM of a policy has after some years, if every backup succeeds. */
export interface KeptForecast {
  readonly years: number;
  readonly taken: number;
  readonly points: readonly ForecastPoint[];
}

/** A point that the VM has now. */
export interface PresentPoint {
  readonly id: string;
  readonly takenAtMs: number;
}

/**
 * Goes through the fire times of some years and gives up once a day what the policy gives up then.
 *
 * @param present points of the VM that the policy has a say about
 * @param years ascending
 */
export function forecastKept(
  document: PolicyDocument,
  present: readonly PresentPoint[],
  nowMs: number,
  years: readonly number[],
): KeptForecast[] {
  const judges = new Map([[document.name, { rules: rulesOf(document), isPaused: false }]]);
  const rest = { judges, blocked: new Map(), incompleteGroups: new Set<string>() };
  const found: KeptForecast[] = [];
  let points = present.map(({ id, takenAtMs }) => judged(document.name, id, takenAtMs));
  let taken = 0;
  let fireAtMs = nextFireTime(document.schedule, nowMs);
  const endMs = nowMs + (years.at(-1) ?? 0) * YEAR_MS;
  for (let atMs = nowMs + DAY_MS; atMs <= endMs; atMs += DAY_MS) {
    for (; fireAtMs !== undefined && fireAtMs <= atMs && taken < FIRES_MAX * years.length;) {
      points.push(judged(document.name, `at ${String(fireAtMs)}`, fireAtMs));
      taken += 1;
      fireAtMs = nextFireTime(document.schedule, fireAtMs);
    }
    const decisions = planRetention({ ...rest, points, nowMs: atMs });
    const kept = new Map(
      decisions.filter(({ keep }) => keep).map(({ pointId, because }) => [pointId, because]),
    );
    points = points.filter(({ id }) => kept.has(id));
    const done = years.find((each) => each * YEAR_MS === atMs - nowMs);
    if (done !== undefined) {
      const there = points.toSorted((a, b) => a.takenAtMs - b.takenAtMs);
      found.push({
        ...{ years: done, taken },
        points: there.map(({ id, takenAtMs }) => ({ takenAtMs, because: kept.get(id) ?? [] })),
      });
    }
  }
  return found;
}

function judged(policy: string, id: string, takenAtMs: number): JudgedPoint {
  const facts = { isHeld: false, proven: 'unknown', isExtra: false } as const;
  return { id, vmId: '', takenAtMs, judges: [policy], ...facts };
}

/** What backups of a VM added to the vault, oldest first. */
export interface MeasuredPoint {
  readonly takenAtMs: number;
  readonly storedBytes: number;
}

const POINTS_MIN = 7;

/**
 * Estimates the bytes of a VM that keeps so many points: its first point, and for each other one
 * what a backup of it adds, the mean of those so far. Content that a kept point shares with others
 * counts once. Undefined if it is too early to say.
 */
export function forecastBytes(
  measured: readonly MeasuredPoint[],
  points: number,
): number | undefined {
  const [first, ...others] = measured;
  if (first === undefined || measured.length < POINTS_MIN) {
    return undefined;
  }
  const added = others.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  return Math.round(first.storedBytes + (added / others.length) * Math.max(0, points - 1));
}
