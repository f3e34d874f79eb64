import { z } from 'zod';

/** What every failed request answers (RFC 9457, `application/problem+json`). */
export const Problem = z
  .object({
    /** Link to the explanation of the fault: `/docs/errors#vault.unknown`. */
    type: z.string(),
    /** Code of the fault, or `internal` for a bug. */
    title: z.string(),
    status: z.int(),
    /** A sentence for people that names what is wrong and the next step. */
    detail: z.string(),
    context: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;
