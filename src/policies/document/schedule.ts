import { z } from 'zod';
import { Window } from '../../kernel/time/time-window.ts';
import { Zone } from '../../kernel/time/zone-time.ts';
import { cronProblem } from '../schedule/cron-pattern.ts';

/** Converted by `durationMs`, like other durations of a policy. */
const Duration = z.string().regex(/^[1-9]\d{0,3}[mhd]$/, 'a duration such as 15m, 4h or 1d');

const Cron = z
  .string()
  .max(200)
  .superRefine((text, context) => {
    const problem = cronProblem(text);
    if (problem !== undefined) {
      context.addIssue({ code: 'custom', message: problem });
    }
  });

/** When a policy is due. Times of day are those of the wall clock in `zone`. */
export const Schedule = z
  .strictObject({
    /** Five fields, or @hourly, @daily, @weekly, @monthly, @yearly. */
    cron: Cron.optional(),
    /** A distance such as 15m, 4h or 1d, counted from midnight UTC: it is the same on all days. */
    every: Duration.optional(),
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
