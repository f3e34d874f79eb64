import { z } from 'zod';
import { PointId, PointReference, TimeMs } from '../references.ts';

/** Why a point is kept or given up: docs/protection.md, "How long points are kept". */
export const Reason = z.object({
  rule: z.string(),
  /** Of the rule: a period, an instant, a set or why; may be empty. */
  period: z.string(),
  policy: z.string().optional(),
});

/** The newest decision about a point. */
export const PointKeeping = z
  .object({
    keep: z.boolean(),
    because: z.array(Reason),
    decidedAtMs: TimeMs,
  })
  .meta({ id: 'PointKeeping' });
export type PointKeeping = z.infer<typeof PointKeeping>;

const Waiting = z.object({
  policy: z.string(),
  revision: z.int().positive(),
  /** How many points it would give up that its last revision would still keep in a week. */
  points: z.int().nonnegative(),
});

const counts = {
  kept: z.int().nonnegative(),
  /** Why this service does not give up what is due; missing if it does. */
  notHere: z.string().optional(),
};

/** Result of a job that decides about the points of a vault. */
export const RetainResult = z
  .object({
    kind: z.literal('retain'),
    ...counts,
    due: z.int().nonnegative(),
    retired: z.int().nonnegative(),
    passedOver: z.int().nonnegative(),
    /** Points that are kept until a person decides. */
    undecided: z.int().nonnegative(),
    /** VMs of which nothing is given up. */
    blocked: z.int().nonnegative(),
    waiting: z.array(Waiting),
  })
  .meta({ id: 'RetainResult' });
export type RetainResult = z.infer<typeof RetainResult>;

const DecidedPoint = z.object({
  pointId: PointId,
  vmId: z.string(),
  vmName: z.string(),
  takenAtMs: TimeMs,
  because: z.array(Reason),
});
export type DecidedPoint = z.infer<typeof DecidedPoint>;

/** POST /api/v1/policies/:policy/retire */
export const RetirePolicyPoints = z
  .strictObject({
    /** Carries the newest revision out, and gives up; otherwise only says what would be done. */
    yes: z.boolean().default(false),
    /** Points that should be in the vault and are gone for good. */
    gonePoints: z.array(PointId).max(1000).default([]),
  })
  .meta({ id: 'RetirePolicyPoints' });
export type RetirePolicyPoints = z.infer<typeof RetirePolicyPoints>;

/** What is decided about the points of a policy's vault. */
export const PolicyRetirement = z
  .object({
    policy: z.string(),
    vaultName: z.string(),
    atMs: TimeMs,
    ...counts,
    /** Points that are given up, oldest first. */
    due: z.array(DecidedPoint),
    /** Points that are kept until a person decides: `policy adopt`. */
    undecided: z.array(DecidedPoint),
    blocked: z.array(z.object({ vmId: z.string(), why: z.string() })),
    waiting: z.array(Waiting),
    /** Those that were given up now. */
    retired: z.array(PointId),
    /** Those that are due and were left at the last look. */
    passedOver: z.array(z.object({ pointId: PointId, why: z.string() })),
  })
  .meta({ id: 'PolicyRetirement' });
export type PolicyRetirement = z.infer<typeof PolicyRetirement>;

/** POST /api/v1/policies/:policy/adopt */
export const AdoptPoints = z
  .strictObject({
    points: z.array(PointReference).min(1).max(1000),
    /** Gives the points to the policy; otherwise only says which. */
    yes: z.boolean().default(false),
  })
  .meta({ id: 'AdoptPoints' });
export type AdoptPoints = z.infer<typeof AdoptPoints>;

export const AdoptedPoints = z
  .object({
    policy: z.string(),
    points: z.array(z.object({ pointId: PointId, vmName: z.string(), takenAtMs: TimeMs })),
  })
  .meta({ id: 'AdoptedPoints' });
export type AdoptedPoints = z.infer<typeof AdoptedPoints>;
