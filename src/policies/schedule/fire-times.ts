import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { isInWindow, nextOpening } from '../../kernel/time/time-window.ts';
import { changeBetween, instantsOf, offsetOf, wallOf } from '../../kernel/time/zone-time.ts';
import { durationMs } from '../document/duration.ts';
import type { Schedule } from '../document/schedule.ts';
import { cronPattern } from './cron-pattern.ts';

/** No clock is set back further. */
const BACK_MS_MAX = 3 * 3_600_000;
/** More attempts mean a schedule that its window leaves nothing of. */
const ATTEMPTS_MAX = 10_000;

/** What a jitter depends on. */
export interface Starting {
  readonly policyId: string;
  readonly vmId: string;
  readonly fireAtMs: number;
}

/**
 * Returns the next fire time, which is later than `afterMs`; undefined if there is none.
 *
 * A time of the wall clock that does not exist fires at the next instant that does. One that exists
 * twice fires once, the first time; except under a cron pattern for every hour, because otherwise
 * an hour would have no fire time.
 */
export function nextFireTime(schedule: Schedule, afterMs: number): number | undefined {
  const next =
    schedule.cron === undefined ? afterEvery(schedule, afterMs) : afterCron(schedule, afterMs);
  assert(next === undefined || next > afterMs, 'a fire time is later than the one before');
  return next;
}

/**
 * Returns how long after its fire time a VM's run starts: derived, so it is the same after a
 * restart; before the next fire time and within the window.
 */
export function jitterMs(schedule: Schedule, { policyId, vmId, fireAtMs }: Starting): number {
  const { jitter, window, zone } = schedule;
  if (jitter === undefined) {
    return 0;
  }
  const next = nextFireTime(schedule, fireAtMs) ?? Infinity;
  const limit = Math.min(durationMs(jitter), next - fireAtMs);
  const hash = createHash('sha256')
    .update(JSON.stringify([policyId, vmId, fireAtMs]))
    .digest();
  let offset = Math.floor((hash.readUInt32LE() / 2 ** 32) * limit);
  while (
    offset > 0 &&
    window !== undefined &&
    !isInWindow(window, wallOf(zone, fireAtMs + offset))
  ) {
    offset = Math.floor(offset / 2);
  }
  return offset;
}

/** Aligned to the epoch: so the distance is the same on the days on which clocks are changed. */
function afterEvery({ every = '1d', zone, window }: Schedule, afterMs: number): number | undefined {
  const stepMs = durationMs(every);
  let next = (Math.floor(afterMs / stepMs) + 1) * stepMs;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const wall = wallOf(zone, next);
    if (window === undefined || isInWindow(window, wall)) {
      return next;
    }
    const [opening] = instantsOf(zone, nextOpening(window, wall));
    next = Math.max(next + stepMs, Math.ceil(opening / stepMs) * stepMs);
  }
  return undefined;
}

function afterCron(schedule: Schedule, afterMs: number): number | undefined {
  const { cron = '', zone } = schedule;
  const { everyHour } = cronPattern(cron);
  let wall: number | undefined = wallOf(zone, afterMs);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    wall = nextWall(schedule, wall);
    if (wall === undefined) {
      return undefined;
    }
    const [first, ...again] = instantsOf(zone, wall);
    const next = [first, ...(everyHour ? again : [])].find((instant) => instant > afterMs);
    if (next !== undefined) {
      return everyHour ? (inRepeatedHour(schedule, afterMs, next) ?? next) : next;
    }
  }
  return undefined;
}

/** Returns the first fire time after the clock was set back, if that lies between the two. */
function inRepeatedHour(schedule: Schedule, afterMs: number, next: number): number | undefined {
  const { zone } = schedule;
  const end = Math.min(next, afterMs + BACK_MS_MAX);
  const offset = offsetOf(zone, end);
  if (offset >= offsetOf(zone, afterMs)) {
    return undefined;
  }
  const change = changeBetween(zone, afterMs, end);
  const wall = nextWall(schedule, change + offset - 1);
  return wall === undefined || wall - offset >= next ? undefined : wall - offset;
}

/** Returns the next time of the wall clock that the pattern and the window have. */
function nextWall({ cron = '', window }: Schedule, afterMs: number): number | undefined {
  const pattern = cronPattern(cron);
  let wall = pattern.next(afterMs);
  for (let attempt = 0; wall !== undefined && attempt < ATTEMPTS_MAX; attempt++) {
    if (window === undefined || isInWindow(window, wall)) {
      return wall;
    }
    wall = pattern.next(nextOpening(window, wall) - 1);
  }
  return undefined;
}
