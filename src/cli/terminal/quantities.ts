import { formatBytes } from '../../kernel/text/bytes.ts';

const SECOND_MS = 1000;
const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const DAY_S = 24 * HOUR_S;

/**
 * Returns a duration for people, in its two largest units: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10
 * min`.
 */
export function formatDuration(durationMs: number): string {
  const exactSeconds = durationMs / SECOND_MS;
  if (exactSeconds < 9.95) {
    return `${exactSeconds.toFixed(1)} s`;
  }
  const seconds = Math.round(exactSeconds);
  if (seconds < MINUTE_S) {
    return `${String(seconds)} s`;
  }
  if (seconds < HOUR_S) {
    return pair([Math.floor(seconds / MINUTE_S), 'min'], [seconds % MINUTE_S, 's']);
  }
  if (seconds < DAY_S) {
    return pair([Math.floor(seconds / HOUR_S), 'h'], [remainder(seconds, HOUR_S, MINUTE_S), 'min']);
  }
  return pair([Math.floor(seconds / DAY_S), 'd'], [remainder(seconds, DAY_S, HOUR_S), 'h']);
}

function remainder(seconds: number, outer: number, inner: number): number {
  return Math.floor((seconds % outer) / inner);
}

function pair(large: [number, string], small: [number, string]): string {
  return `${String(large[0])} ${large[1]} ${String(small[0]).padStart(2, '0')} ${small[1]}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

/**
 * Returns a time in `timeZone` (IANA name; default: the user's own): `2026-11-22 14:05:33 GMT+1`.
 */
export function formatTime(timeMs: number, timeZone?: string): string {
  const parts = formatOf(timeZone).formatToParts(timeMs);
  const part = (type: Intl.DateTimeFormatPartTypes): string =>
    parts.find((candidate) => candidate.type === type)?.value ?? '';
  const date = `${part('year')}-${part('month')}-${part('day')}`;
  return `${date} ${part('hour')}:${part('minute')}:${part('second')} ${part('timeZoneName')}`;
}

/** Making one takes as long as formatting a hundred times. */
const formats = new Map<string | undefined, Intl.DateTimeFormat>();

function formatOf(timeZone: string | undefined): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) {
    return known;
  }
  const made = new Intl.DateTimeFormat('en-GB', {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
    ...(timeZone === undefined ? {} : { timeZone }),
  });
  formats.set(timeZone, made);
  return made;
}

/** Returns `1 disk`, `2 disks`. */
export function count(amount: number, singular: string, plural = `${singular}s`): string {
  return `${String(amount)} ${amount === 1 ? singular : plural}`;
}
