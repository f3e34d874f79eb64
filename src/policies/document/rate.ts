import { z } from 'zod';
import type { RateLimits } from '../../kernel/rates/rate-limits.ts';
import { GiB, KiB, MiB } from '../../kernel/text/bytes.ts';
import { Window } from '../../kernel/time/time-window.ts';

const UNITS = { KiB, MiB, GiB };
/** Windows that a job takes, less one for all other times. */
const RATES_MAX = 31;

const Rate = z.string().regex(/^[1-9]\d{0,5}(KiB|MiB|GiB)\/s$/, 'a rate such as 50MiB/s');

/** How fast something may read. */
export const RateFields = {
  rate: Rate.optional(),
  /** The same by the time of day, in the zone of the schedule: the first open window counts. */
  rates: z
    .array(Window.extend({ rate: Rate }))
    .min(1)
    .max(RATES_MAX)
    .optional(),
};
export type RateFields = z.infer<z.ZodObject<typeof RateFields>>;

/**
 * Returns what the fields mean for a job; undefined: nothing. The windows of `rates` stand before
 * `rate`, which holds at all other times.
 */
export function rateLimitsOf(
  { rate, rates = [] }: RateFields,
  zone: string,
): RateLimits | undefined {
  const always = rate === undefined ? [] : [{ from: '00:00', to: '00:00', rate }];
  const windows = [...rates, ...always].map(({ rate: text, ...window }) => ({
    ...window,
    bytesPerSecond: bytesPerSecond(text),
  }));
  return windows.length === 0 ? undefined : { zone, windows };
}

function bytesPerSecond(rate: string): number {
  const unit = rate.slice(-'KiB/s'.length, -'/s'.length) as keyof typeof UNITS;
  return Number.parseInt(rate, 10) * UNITS[unit];
}
