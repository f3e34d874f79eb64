import { z } from 'zod';
import { Lru } from '../memory/lru.ts';

const DAY_MS = 86_400_000;
const ZONES_MAX = 600;
const ZONES_REMEMBERED = 8;
const HOUR_MS = 3_600_000;
/** A `Date` reaches no further. */
const INSTANT_MS_MAX = 8.64e15;
/** Of a zone: two years. */
const HOURS_MAX = 17_520;

/** A name of the IANA time zone database. */
export const Zone = z.string().max(100).refine(isZone, 'a time zone such as Europe/Berlin or UTC');

const formats = new Lru<string, Intl.DateTimeFormat>(ZONES_MAX);
/** By zone and hour of UTC: the offset, if it does not change in that hour. */
const offsets = new Lru<string, Map<number, number | 'changes'>>(ZONES_REMEMBERED);

/**
 * Returns what the wall clock of a zone shows at an instant: in milliseconds, as if it showed UTC.
 */
export function wallOf(zone: string, instantMs: number): number {
  return instantMs + offsetOf(zone, instantMs);
}

/** Returns how far the wall clock of a zone is ahead of UTC at an instant. */
export function offsetOf(zone: string, instantMs: number): number {
  if (zone === 'UTC') {
    return 0;
  }
  const hour = Math.floor(instantMs / HOUR_MS);
  const hours = offsets.get(zone) ?? new Map<number, number | 'changes'>();
  let known = hours.get(hour);
  if (known === undefined) {
    known = offsetInHour(zone, hour * HOUR_MS);
    if (hours.size === HOURS_MAX) {
      hours.clear();
    }
    hours.set(hour, known);
    offsets.set(zone, hours, 1);
  }
  return known === 'changes' ? askedOffset(zone, instantMs) : known;
}

/** Returns the offset of all instants of an hour: no zone changed its clock twice in one. */
function offsetInHour(zone: string, startMs: number): number | 'changes' {
  const lastMs = startMs + HOUR_MS - 1;
  if (!(startMs > -INSTANT_MS_MAX && lastMs < INSTANT_MS_MAX)) {
    return 'changes';
  }
  const offset = askedOffset(zone, startMs);
  return askedOffset(zone, lastMs) === offset ? offset : 'changes';
}

/** Asking takes about 5 us. */
function askedOffset(zone: string, instantMs: number): number {
  const at: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(instantMs)) {
    at[type] = Number(value);
  }
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = at;
  const wholeSecondMs = Math.floor(instantMs / 1000) * 1000;
  return Date.UTC(year, month - 1, day, hour, minute, second) - wholeSecondMs;
}

/**
 * Returns the instants at which the wall clock of a zone shows a time: one, two if it is set back
 * over that time, or the end of the gap if it is set forward over it.
 */
export function instantsOf(zone: string, wallMs: number): readonly [number, ...number[]] {
  // An instant is less than a day from the wall time, as if that were UTC.
  const before = offsetOf(zone, wallMs - DAY_MS);
  const after = offsetOf(zone, wallMs + DAY_MS);
  if (before === after) {
    return [wallMs - before];
  }
  const [first, second] = [before, after]
    .map((offset) => ({ offset, instant: wallMs - offset }))
    .filter(({ offset, instant }) => offsetOf(zone, instant) === offset)
    .map(({ instant }) => instant)
    .sort((a, b) => a - b);
  if (first === undefined) {
    return [changeBetween(zone, wallMs - DAY_MS, wallMs + DAY_MS)];
  }
  return second === undefined ? [first] : [first, second];
}

/** Returns the first instant with the offset of the end. There is one change in between. */
export function changeBetween(zone: string, startMs: number, endMs: number): number {
  const offset = offsetOf(zone, startMs);
  let [early, late] = [startMs, endMs];
  while (late - early > 1) {
    const middle = Math.floor((early + late) / 2);
    if (offsetOf(zone, middle) === offset) {
      early = middle;
    } else {
      late = middle;
    }
  }
  return late;
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) {
    return known;
  }
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formats.set(zone, made, 1);
  return made;
}

/** Asking takes about 100 us, and a set of policies names few zones very often. */
const judged = new Lru<string, boolean>(ZONES_MAX);

function isZone(name: string): boolean {
  const known = judged.get(name) ?? isKnownZone(name);
  judged.set(name, known, 1);
  return known;
}

function isKnownZone(name: string): boolean {
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions();
    // An offset such as +02:00 is no zone: it knows no summer time, which people would expect.
    return /^[A-Za-z]/.test(timeZone);
  } catch {
    return false;
  }
}
