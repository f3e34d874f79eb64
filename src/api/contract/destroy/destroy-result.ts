import { z } from 'zod';
import { ByteCount, TimeMs } from '../references.ts';
import { SpendingReport } from '../spending.ts';

const Count = z.int().nonnegative();
const Amount = z.object({ objects: Count, bytes: ByteCount });
const amounts = z.record(z.string(), Amount);
/** What lies there and is of no vault: it stays. */
const foreign = Amount.extend({ names: z.array(z.string()).readonly() });

export const DestroyPlan = z
  .object({
    vault: z.string(),
    location: z.string(),
    points: Count,
    objects: Count,
    bytes: ByteCount,
    /** By the first part of the key. */
    classes: amounts,
    foreign,
    /** What must end first, unless told otherwise. */
    inTheWay: z.object({
      jobs: z.array(z.string()).readonly(),
      readers: z.array(z.string()).readonly(),
      holds: Count,
    }),
    /** Policies that name the vault; their runs fail afterwards. */
    policies: z.array(z.object({ name: z.string(), copiesOnly: z.boolean() })).readonly(),
    /** Other registered vaults that have the same points. */
    elsewhere: z.array(z.object({ vault: z.string(), points: Count })).readonly(),
    /** What the bucket keeps although it is removed; missing for a folder. */
    kept: z
      .object({
        versions: z.boolean(),
        /** Of the objects that were asked. */
        locks: z.object({ asked: Count, locked: Count, untilMs: TimeMs }).optional(),
        /** These credentials may not ask. */
        isUnknown: z.boolean(),
      })
      .optional(),
    /** When it was begun, if it was. */
    begunAtMs: TimeMs.optional(),
  })
  .meta({ id: 'DestroyPlan' });
export type DestroyPlan = z.infer<typeof DestroyPlan>;

const DestroyReport = z
  .object({
    removed: Amount,
    /** What the credentials may not remove, by the first part of the key. */
    denied: amounts,
    foreign,
    isEmpty: z.boolean(),
  })
  .meta({ id: 'DestroyReport' });
export type DestroyReport = z.infer<typeof DestroyReport>;

export const DestroyResult = z
  .object({
    kind: z.literal('destroy'),
    plan: DestroyPlan.optional(),
    report: DestroyReport.optional(),
    spending: SpendingReport,
  })
  .meta({ id: 'DestroyResult' });
