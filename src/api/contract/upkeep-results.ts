import { z } from 'zod';
import { ByteCount, TimeMs } from './references.ts';
import { Cost, SpendingReport, Traffic } from './spending.ts';
import { StoreTrial } from './store-trial.ts';

/*
 * Results of jobs that care for a vault.
 */

const Count = z.int().nonnegative();
const spending = SpendingReport;
const PointName = z.object({ vmId: z.string(), id: z.string() });
const Amount = z.object({ objects: Count, bytes: ByteCount });

export const ProbeResult = z
  .object({ kind: z.literal('probe'), trial: StoreTrial, spending })
  .meta({ id: 'ProbeResult' });
export type ProbeResult = z.infer<typeof ProbeResult>;

const Ratios = z.object({
  logicalBytes: ByteCount,
  /** Content counted once, before compression. */
  uniqueBytes: ByteCount,
  /** The same content, as stored. */
  storedBytes: z.number().nonnegative(),
  dedupRatio: z.number(),
  compressionRatio: z.number(),
});

export const VaultUsage = z
  .object({
    points: z
      .array(
        PointName.extend({
          vmName: z.string(),
          takenAtMs: TimeMs,
          sizeBytes: ByteCount,
          /** Content of its disks other than zeroes. */
          logicalBytes: ByteCount,
          /** What the vault would get back if only this point were given up. */
          exclusiveBytes: ByteCount,
        }),
      )
      .readonly(),
    vms: z.array(Ratios.extend({ vmId: z.string(), vmName: z.string(), points: Count })).readonly(),
    total: Ratios,
    /** Bytes in packs that points need: content and maps. */
    neededBytes: ByteCount,
    /** Size of all packs, dead content included. */
    objectBytes: ByteCount,
    objects: Count,
    /** Bytes of packs by the month they were written in. */
    months: z.array(z.object({ month: z.string(), bytes: ByteCount })).readonly(),
    /** Missing for a vault younger than a week. */
    growthPerMonthBytes: z.number().optional(),
  })
  .meta({ id: 'VaultUsage' });
export type VaultUsage = z.infer<typeof VaultUsage>;

export const UsageResult = z
  .object({ kind: z.literal('usage'), usage: VaultUsage, spending })
  .meta({ id: 'UsageResult' });

export const RetirementPlan = z
  .object({
    points: z
      .array(PointName.extend({ vmName: z.string(), takenAtMs: TimeMs, exclusiveBytes: ByteCount }))
      .readonly(),
    /** What prunes give back for all of these points, including points given up before. */
    freedBytes: z.int(),
    /** The part of that in packs of the last day, which the next prune leaves alone. */
    youngBytes: ByteCount,
    /** What nothing needs then and still stays, because its packs are mostly needed. */
    keptBytes: ByteCount,
  })
  .meta({ id: 'RetirementPlan' });
export type RetirementPlan = z.infer<typeof RetirementPlan>;

export const RetirementPlanResult = z
  .object({ kind: z.literal('retirement-plan'), plan: RetirementPlan, spending })
  .meta({ id: 'RetirementPlanResult' });

export const ReviveResult = z
  .object({
    kind: z.literal('revive'),
    /** The new point, and the one it was made from. */
    pointId: z.string(),
    revived: z.string(),
    spending,
  })
  .meta({ id: 'ReviveResult' });
export type ReviveResult = z.infer<typeof ReviveResult>;

const standing = {
  /** How many points count, and how many VMs they belong to. */
  standingPoints: Count,
  vms: Count,
  /**
   * Nothing is removed before then, because the points have not been known for a day; `never` if
   * this host cannot remember them.
   */
  waitsUntilMs: z.union([z.number(), z.literal('never')]).optional(),
};

export const PrunePlan = z
  .object({
    points: z.array(PointName).readonly(),
    ...standing,
    removedPacks: Count,
    compactedPacks: Count,
    deadSlots: Count,
    removedBytes: ByteCount,
    writtenBytes: ByteCount,
    readBytes: ByteCount,
    deadBytesLeft: ByteCount,
    /** The part of `deadBytesLeft` that goes once its packs are no longer young. */
    youngBytes: ByteCount,
    requests: z.object({ get: Count, put: Count, remove: Count }),
  })
  .meta({ id: 'PrunePlan' });
export type PrunePlan = z.infer<typeof PrunePlan>;

export const PruneReport = z
  .object({
    removedPoints: z.array(PointName).readonly(),
    ...standing,
    givenUpPoints: z.array(PointName).readonly(),
    removedPacks: Count,
    compactedPacks: Count,
    mergedPacks: Count,
    removedBytes: ByteCount,
    writtenBytes: ByteCount,
    deadBytesLeft: ByteCount,
    damagedPacks: z.array(z.string()).readonly(),
    /** Objects that the store refused to remove. */
    refusedRemovals: Count,
    /** The store was full, so packs that are needed in part were not rewritten. */
    noRoomToRewrite: z.boolean(),
  })
  .meta({ id: 'PruneReport' });
export type PruneReport = z.infer<typeof PruneReport>;

/** Only a plan (`dryRun`), or what was done. */
export const PruneResult = z
  .object({
    kind: z.literal('prune'),
    plan: PrunePlan.optional(),
    /** What carrying the plan out would cost. */
    cost: Cost.optional(),
    report: PruneReport.optional(),
    spending,
  })
  .meta({ id: 'PruneResult' });

export const ScrubReport = z
  .object({
    depth: z.enum(['crc', 'frames', 'ids']),
    packs: Count,
    bytes: ByteCount,
    requests: Count,
    totalPacks: Count,
    totalBytes: ByteCount,
    ended: z.enum(['all-checked', 'budget']),
    damaged: z
      .array(
        z.object({
          key: z.string(),
          frames: z.array(Count).readonly(),
          why: z.array(z.string()).readonly(),
          lostSlots: z.union([Count, z.literal('all')]),
        }),
      )
      .readonly(),
    damagedObjects: z.array(z.string()).readonly(),
    /** The list of damaged slots that was written to the vault. */
    list: z.string().optional(),
  })
  .meta({ id: 'ScrubReport' });
export type ScrubReport = z.infer<typeof ScrubReport>;

export const PointProven = z
  .object({
    pointId: z.string(),
    vmName: z.string(),
    packs: Count,
    proven: Count,
    damaged: Count,
    oldestMs: TimeMs.optional(),
  })
  .meta({ id: 'PointProven' });
export type PointProven = z.infer<typeof PointProven>;

/** Also the result of a job that failed with `vault.damage-found`. */
export const ScrubResult = z
  .object({
    kind: z.literal('scrub'),
    report: ScrubReport,
    /** Packs that points need and that are gone. */
    missing: Count,
    points: z.array(PointProven).readonly(),
    spending,
  })
  .meta({ id: 'ScrubResult' });
export type ScrubResult = z.infer<typeof ScrubResult>;

export const RepairReport = z
  .object({
    objects: z
      .array(
        z.object({
          key: z.string(),
          was: z.enum(['missing', 'damaged']),
          outcome: z.enum(['copied', 'overwritten', 'written-anew', 'left']),
          why: z.string().optional(),
        }),
      )
      .readonly(),
    packs: z
      .array(
        z.object({
          pack: z.string(),
          outcome: z.enum(['whole', 'copied', 'rewritten', 'lost']),
          /** Object that was written, or would be. */
          key: z.string().optional(),
          bytes: ByteCount,
          healedSlots: Count,
          lostSlots: z.union([Count, z.literal('all')]),
        }),
      )
      .readonly(),
    writtenBytes: ByteCount,
    /** How many lists of damage got a note that slots are readable again. */
    healedLists: Count.default(0),
    unreadablePoints: z.array(z.string()).readonly(),
  })
  .meta({ id: 'RepairReport' });
export type RepairReport = z.infer<typeof RepairReport>;

export const RepairResult = z
  .object({ kind: z.literal('repair'), dryRun: z.boolean(), report: RepairReport, spending })
  .meta({ id: 'RepairResult' });

export const CopyPlan = z
  .object({ missing: Amount, present: Amount, points: Count, pointsBeyond: Count })
  .meta({ id: 'CopyPlan' });
export type CopyPlan = z.infer<typeof CopyPlan>;

export const CopyEstimate = z.object({ source: Traffic, target: Traffic });
export type CopyEstimate = z.infer<typeof CopyEstimate>;

export const CopyReport = z
  .object({
    sent: Amount,
    points: Count,
    pointsBeyond: Count,
    passes: Count,
    damaged: z.array(z.string()).readonly(),
  })
  .meta({ id: 'CopyReport' });
export type CopyReport = z.infer<typeof CopyReport>;

/** What the vault has removed and the copy had, or still has. */
export const CopyPrune = z
  .object({
    points: Count,
    packs: Count,
    bytes: ByteCount,
    /** Packs that the vault no longer has and that a point of the copy may need. */
    keptPacks: Count,
  })
  .meta({ id: 'CopyPrune' });
export type CopyPrune = z.infer<typeof CopyPrune>;

/**
 * Only a plan (`dryRun`), or what was done; also the result of a job that failed with
 * `copy.damaged`.
 */
export const CopyResult = z
  .object({
    kind: z.literal('copy'),
    to: z.string(),
    plan: CopyPlan.optional(),
    estimate: CopyEstimate.optional(),
    /** What carrying the plan out would cost, by store. */
    costs: z.array(Cost).readonly().optional(),
    report: CopyReport.optional(),
    prune: CopyPrune.optional(),
    durationMs: z.number().nonnegative(),
    spending,
  })
  .meta({ id: 'CopyResult' });
export type CopyResult = z.infer<typeof CopyResult>;

export const KeepReport = z
  .object({
    needed: Count,
    extended: Count,
    refused: z.array(z.string()).readonly(),
    /** Objects that somebody has overwritten or removed; their first versions are kept. */
    tampered: z.array(z.string()).readonly(),
    unsure: z.boolean(),
    requests: z.object({ lists: Count, gets: Count, locks: Count }),
  })
  .meta({ id: 'KeepReport' });
export type KeepReport = z.infer<typeof KeepReport>;

export const KeepResult = z
  .object({ kind: z.literal('keep'), report: KeepReport, spending })
  .meta({ id: 'KeepResult' });
