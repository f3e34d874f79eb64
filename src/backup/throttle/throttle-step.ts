import { MiB } from '../../kernel/text/bytes.ts';

/** A backup is never made slower than this. */
const RATE_MIN = 4 * MiB;
/** How long the last step is given to show in the guest's writes before the next one. */
const SETTLE_MS = 2000;
/** After this long without slow writes the rate is raised, a step each second. */
const CALM_MS = 30_000;
/** After this long without slow writes there is no limit any more. */
const RELEASE_MS = 60_000;

/** How far reading is slowed down now. */
export interface Throttling {
  /** Undefined: not at all. */
  readonly bytesPerSecond?: number;
  readonly loweredAtMs: number;
  /** When the guest's writes were last slow. */
  readonly slowAtMs: number;
}

export const RELEASED: Throttling = { loweredAtMs: -Infinity, slowAtMs: -Infinity };

/** What was seen in the last second. */
export interface Seen {
  readonly nowMs: number;
  /** Whether writes since the last step, of the last ten seconds at most, exceed their limit. */
  readonly isSlow: boolean;
  /** How fast the backup reads. */
  readonly readBytesPerSecond: number;
}

/**
 * Returns how far to slow reading down from now on; asked every second. Slow writes halve the rate
 * at which we read, but not below 4 MiB/s. After 30 s without them each second gives a quarter
 * more, and after 60 s all is released.
 */
export function nextThrottling(now: Throttling, seen: Seen): Throttling {
  return seen.isSlow ? slowed(now, seen) : calmed(now, seen);
}

function slowed(now: Throttling, { nowMs, readBytesPerSecond }: Seen): Throttling {
  const rate = now.bytesPerSecond;
  if (rate !== undefined && nowMs - now.loweredAtMs < SETTLE_MS) {
    return { ...now, slowAtMs: nowMs };
  }
  const halved = Math.min(rate ?? Infinity, readBytesPerSecond) / 2;
  return {
    bytesPerSecond: Math.max(RATE_MIN, halved),
    loweredAtMs: nowMs,
    slowAtMs: nowMs,
  };
}

function calmed(now: Throttling, { nowMs }: Seen): Throttling {
  const rate = now.bytesPerSecond;
  const calmMs = nowMs - now.slowAtMs;
  if (rate === undefined || calmMs < CALM_MS) {
    return now;
  }
  return calmMs >= RELEASE_MS ? RELEASED : { ...now, bytesPerSecond: rate * 1.25 };
}
