import { z } from 'zod';
import { TimeMs } from './references.ts';

/** What a store was seen to do. Only what is `yes` is relied upon. */
export const StoreTrial = z
  .object({
    atMs: TimeMs,
    location: z.string(),
    checks: z
      .array(
        z.object({
          check: z.string(),
          title: z.string(),
          verdict: z.enum(['yes', 'no', 'unknown']),
          /** What relies on it. */
          neededFor: z.string(),
          seen: z.string().optional(),
        }),
      )
      .readonly(),
    /** Clock of the server minus the clock here. */
    clockSkewMs: z.number().optional(),
    /** Objects of the trial that could not be removed. */
    leftovers: z.int().nonnegative(),
  })
  .meta({ id: 'StoreTrial' });
export type StoreTrial = z.infer<typeof StoreTrial>;
