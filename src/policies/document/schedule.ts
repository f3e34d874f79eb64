import { z } from 'zod';
import { cronProblem } from '../schedule/cron-pattern.ts';

/** Days on which a window opens. */
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const DURATION_UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 };

const Duration = z.string().regex(/^[1-9]\d{0,3}[mhd]$/, 'a duration such as 15m, 4h or 1d');

const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day such as 22:00');

const Cron = z
  .string()
  .max(200)
  .superRefine((text, context) => {
    const problem = cronProblem(text);
    if (problem !== undefined) {
      context.addIssue({ code: 'custom', message: problem });
    }
  });

const Zone = z.string().max(100).refine(isZone, 'a time zone such as Europe/Berlin or UTC');

const Window = z.strictObject({
  from: TimeOfDay,
  /** The first minute outside. Before or equal to `from`: of the next day. */
  to: TimeOfDay,
  /** On which the window opens; default: every day. */
  days: z.array(z.enum(DAYS)).min(1).max(DAYS.length).optional(),
});

/** When a policy is due. Times of day are those of the wall clock in `zone`. */
export const Schedule = z
  .strictObject({
    /** Five fields, or @hourly, @daily, @weekly, @monthly, @yearly. */
    cron: Cron.optional(),
    /** A distance such as 15m, 4h or 1d, counted from midnight UTC: it is the same on all days. */
    every: Duration.optional(),
    /** A name of the IANA time zone database. */
    zone: Zone.default('UTC'),
    /** Fire times outside are left out. */
    window: Window.optional(),
    /** Spreads the starts of the VMs over this time, always in the same way. */
    jitter: Duration.optional(),
    /** What happens to fire times that passed while nothing ran. */
    catchUp: z.enum(['once', 'skip']).default('once'),
  })
  .refine(
    ({ cron, every }) => (cron === undefined) !== (every === undefined),
    'either cron or every',
  );
export type Schedule = z.output<typeof Schedule>;
export type Window = z.output<typeof Window>;

/** Converts a duration of a schedule, such as 15m, to milliseconds. */
export function durationMs(text: string): number {
  const unit = text.slice(-1) as keyof typeof DURATION_UNITS;
  return Number.parseInt(text, 10) * DURATION_UNITS[unit];
}

function isZone(name: string): boolean {
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions();
    // An offset such as +02:00 is no zone: it knows no summer time, which people would expect.
    return /^[A-Za-z]/.test(timeZone);
  } catch {
    return false;
  }
}
