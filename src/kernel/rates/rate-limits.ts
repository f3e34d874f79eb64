import { z } from 'zod';
import { isInWindow, Window } from '../time/time-window.ts';
import { wallOf, Zone } from '../time/zone-time.ts';

const WINDOWS_MAX = 32;

/** What may be read in a second while a window is open. */
const RateLimit = Window.extend({ bytesPerSecond: z.int().positive() });
type RateLimit = z.output<typeof RateLimit>;

/** How fast a job may read, by the time of day. */
export const RateLimits = z.strictObject({
  /** Whose wall clock the windows name. */
  zone: Zone.default('UTC'),
  /** The first that is open counts. While none is, there is no limit. */
  windows: z.array(RateLimit).max(WINDOWS_MAX),
});
export type RateLimits = z.output<typeof RateLimits>;

/** Returns the limit at an instant in bytes per second; undefined if there is none. */
export function rateAt(
  windows: readonly RateLimit[],
  instantMs: number,
  zone: string,
): number | undefined {
  const wallMs = wallOf(zone, instantMs);
  return windows.find((window) => isInWindow(window, wallMs))?.bytesPerSecond;
}

/** Returns limits that are the same at all times. */
export function constantRate(bytesPerSecond: number): RateLimits {
  return { zone: 'UTC', windows: [{ from: '00:00', to: '00:00', bytesPerSecond }] };
}
