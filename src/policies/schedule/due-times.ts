import type { Schedule } from '../document/schedule.ts';
import { nextFireTime } from './fire-times.ts';
import { isInWindow, nextOpening } from '../../kernel/time/time-window.ts';
import { instantsOf, wallOf } from '../../kernel/time/zone-time.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** A fire time that is seen this late was not missed: the service was only busy. */
const LATE_MS_MAX = 5 * MINUTE_MS;
/** Looks back so far, in steps, until there are enough. What is older is said and not looked at. */
const LOOK_BACK_MS = [HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS];
/** Missed fire times that are written down, per VM. */
const MISSED_MAX = 100;

/** What a schedule asks for between two looks at it. */
export interface DueTimes {
  /** The fire time that makes a run. */
  readonly run?: number;
  /** Fire times that passed without a run, in order. */
  readonly missed: readonly number[];
  /** There may have been fire times before this one, about which nothing is written down. */
  readonly notBeforeMs?: number;
  /** Until when the schedule was looked at; never earlier than before. */
  readonly horizonMs: number;
}

/**
 * Returns the fire times after `horizonMs` up to now. Every fire time is in exactly one look, or
 * before a `notBeforeMs`, whatever the clock does in between.
 */
export function dueTimes(schedule: Schedule, horizonMs: number, nowMs: number): DueTimes {
  if (nowMs <= horizonMs) {
    return { missed: [], horizonMs };
  }
  const { times, startMs } = newestTimes(schedule, horizonMs, nowMs);
  const kept = times.slice(-MISSED_MAX);
  const [oldest] = kept;
  const isShortened = startMs > horizonMs || kept.length < times.length;
  const newest = kept.at(-1);
  const runs =
    newest !== undefined && (schedule.catchUp === 'once' || nowMs - newest <= LATE_MS_MAX);
  return {
    ...(runs ? { run: newest } : {}),
    missed: runs ? kept.slice(0, -1) : kept,
    ...(isShortened ? { notBeforeMs: oldest ?? startMs } : {}),
    horizonMs: nowMs,
  };
}

/** Returns when a run that is caught up may start: now, or when the window opens. */
export function earliestStart({ window, zone }: Schedule, nowMs: number): number {
  const wall = wallOf(zone, nowMs);
  return window === undefined || isInWindow(window, wall)
    ? nowMs
    : instantsOf(zone, nextOpening(window, wall))[0];
}

function newestTimes(
  schedule: Schedule,
  horizonMs: number,
  nowMs: number,
): { readonly times: readonly number[]; readonly startMs: number } {
  let times: number[] = [];
  let startMs = nowMs;
  for (const backMs of LOOK_BACK_MS) {
    startMs = Math.max(horizonMs, nowMs - backMs);
    times = timesBetween(schedule, startMs, nowMs);
    if (startMs === horizonMs || times.length > MISSED_MAX) {
      break;
    }
  }
  return { times, startMs };
}

function timesBetween(schedule: Schedule, startMs: number, endMs: number): number[] {
  const times: number[] = [];
  let next = nextFireTime(schedule, startMs);
  while (next !== undefined && next <= endMs) {
    times.push(next);
    next = nextFireTime(schedule, next);
  }
  return times;
}
