import { z } from 'zod';
import { RateLimits } from '../../kernel/rates/rate-limits.ts';
import { HOLD_REASON_CHARACTERS_MAX } from '../../vault/format/limits.ts';
import { ByteCount, PointId, PointReference, StoreLocation, TimeMs } from './references.ts';
import { SpendingLimits } from './spending.ts';

/*
 * Bodies of requests that care for a vault: POST /api/v1/vaults/:vault/…, most answered 202 with a
 * Job.
 */

const limits = SpendingLimits.default({});
/** Only says what would be done, and changes nothing. */
const dryRun = z.boolean();
/** Opens the retention key of a vault that has one of its own. Used once, stored nowhere. */
const retentionPassphrase = z.string().min(1).max(1024).optional();
const points = z.array(PointId).min(1).max(1000);

/** POST …/probe and …/usage */
export const StartPlain = z.strictObject({ limits }).meta({ id: 'StartPlain' });
export type StartPlain = z.infer<typeof StartPlain>;

/** An object of a kind that nobody removes. */
export const GoneObject = z.string().regex(/^(?:alias|hold)\/[\w./-]{1,200}$/);

/** POST …/prune */
export const StartPrune = z
  .strictObject({
    dryRun,
    limits,
    /** Younger packs are left alone. Default a day. */
    youngMs: z.number().nonnegative().optional(),
    /** Wait before anything is removed. Default 0. */
    graceMs: z.number().nonnegative().optional(),
    /** A pack with a smaller share of needed bytes is rewritten. Default 0.6. */
    liveShare: z.number().min(0).max(1).optional(),
    /** Limit for what rewriting reads. Default 16 GiB. */
    rewriteBytes: ByteCount.optional(),
    /** Points that should be in the vault and are gone for good: the prune goes on without them. */
    gonePoints: z.array(PointId).max(1000).optional(),
    /** Names of aliases and holds that should be there and are gone for good. */
    goneObjects: z.array(GoneObject).max(1000).optional(),
    /**
     * The caller asserts that all points that should be there are listed. Nothing then waits until
     * the service has known them for a day. If the assertion is wrong, the data of unlisted points
     * is lost.
     */
    allPointsAreListed: z.boolean().optional(),
  })
  .meta({ id: 'StartPrune' });
export type StartPrune = z.infer<typeof StartPrune>;

/** POST …/scrub */
export const StartScrub = z
  .strictObject({
    limits,
    /** Share of the vault, 0 to 1. Default 1/30. */
    share: z.number().positive().max(1).optional(),
    /** Bytes to read, instead of a share. */
    budgetBytes: z.int().positive().optional(),
    /** `frames` decrypts all; `ids` also computes every chunk id. */
    depth: z.enum(['frames', 'ids']).default('ids'),
  })
  .meta({ id: 'StartScrub' });
export type StartScrub = z.infer<typeof StartScrub>;

/** Another place with the same vault. Credentials come from the service's AWS settings. */
export const CopyPlace = z
  .strictObject({
    location: StoreLocation,
    endpoint: z.url({ protocol: /^https?$/ }).optional(),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/)
      .optional(),
    /** Profile in the AWS settings of the service's user. */
    profile: z.string().min(1).max(128).optional(),
    /** Accepts a network file system or a caching store. */
    singleWriter: z.boolean().default(false),
  })
  .meta({ id: 'CopyPlace' });
export type CopyPlace = z.infer<typeof CopyPlace>;
export type CopyPlaceInput = z.input<typeof CopyPlace>;

/** POST …/copy */
export const StartCopy = z
  .strictObject({
    dryRun,
    limits,
    to: CopyPlace,
    /** For what is read from the vault. */
    rateLimits: RateLimits.optional(),
    /** Reads every object back from the copy and compares it. */
    readBack: z.boolean().default(false),
    /** Afterwards removes from the copy what a prune has removed from the vault. */
    prune: z.boolean().default(false),
    /** Points that should be in the copy and are gone for good: `prune` goes on without them. */
    gonePoints: z.array(PointId).max(1000).optional(),
    /** Names of aliases and holds that should be there and are gone for good. */
    goneObjects: z.array(GoneObject).max(1000).optional(),
  })
  .meta({ id: 'StartCopy' });
export type StartCopy = z.infer<typeof StartCopy>;

/** POST …/repair */
export const StartRepair = z
  .strictObject({
    dryRun,
    limits,
    /** Where missing objects come from. */
    copy: CopyPlace.optional(),
    /** Overwrites damaged small objects; packs are never overwritten. */
    overwrite: z.boolean().default(false),
  })
  .meta({ id: 'StartRepair' });
export type StartRepair = z.infer<typeof StartRepair>;

/** POST …/keep */
export const StartKeep = z
  .strictObject({
    limits,
    /** Extends everything that is needed, due or not. */
    everything: z.boolean().default(false),
  })
  .meta({ id: 'StartKeep' });
export type StartKeep = z.infer<typeof StartKeep>;

/** POST …/destroy */
export const StartDestroy = z
  .strictObject({
    dryRun,
    limits,
    /** Name of the vault again; needed unless it is a dry run. */
    name: z.string().max(128).optional(),
    /** Also while jobs, readers or holds need it. */
    evenIfUsed: z.boolean().default(false),
  })
  .meta({ id: 'StartDestroy' });
export type StartDestroy = z.infer<typeof StartDestroy>;

/** POST …/retirement-plan: what giving points up would free. Changes nothing. */
export const StartRetirementPlan = z
  .strictObject({ points, limits })
  .meta({ id: 'StartRetirementPlan' });
export type StartRetirementPlan = z.infer<typeof StartRetirementPlan>;

/** POST …/retire: gives points up for good; all of them or, if one is held, none. */
export const RetirePoints = z
  .strictObject({ points, retentionPassphrase })
  .meta({ id: 'RetirePoints' });
export type RetirePoints = z.infer<typeof RetirePoints>;

/** POST …/revive: brings a point that was given up back as a new one. */
export const StartRevive = z
  .strictObject({ point: PointReference, limits })
  .meta({ id: 'StartRevive' });
export type StartRevive = z.infer<typeof StartRevive>;

/** POST …/hold */
export const HoldPoint = z
  .strictObject({
    point: PointId,
    /** Why the point is held, for those who come later. */
    reason: z.string().max(HOLD_REASON_CHARACTERS_MAX).default(''),
  })
  .meta({ id: 'HoldPoint' });
export type HoldPoint = z.infer<typeof HoldPoint>;

/** POST …/release: ends all holds on the point. */
export const ReleasePoint = z
  .strictObject({ point: PointReference, retentionPassphrase })
  .meta({ id: 'ReleasePoint' });
export type ReleasePoint = z.infer<typeof ReleasePoint>;

export const PointHold = z
  .object({ pointId: z.string(), vmId: z.string(), atMs: TimeMs, reason: z.string() })
  .meta({ id: 'PointHold' });
export type PointHold = z.infer<typeof PointHold>;

/** 200 of POST …/hold, of POST …/release (the holds that ended), and of GET …/holds. */
export const HoldList = z.object({ holds: z.array(PointHold).readonly() }).meta({ id: 'HoldList' });
export type HoldList = z.infer<typeof HoldList>;

/** 200 of GET …/reading: points that somebody reads now, so that nobody gives them up. */
export const ReadingList = z
  .object({
    reading: z
      .array(
        z.object({ pointId: z.string(), vmId: z.string(), reader: z.string(), untilMs: TimeMs }),
      )
      .readonly(),
  })
  .meta({ id: 'ReadingList' });
export type ReadingList = z.infer<typeof ReadingList>;

/** 200 of POST …/retire, and of GET …/retired: points given up that no prune has removed yet. */
export const RetiredList = z
  .object({
    points: z.array(z.object({ pointId: z.string(), vmId: z.string() })).readonly(),
  })
  .meta({ id: 'RetiredList' });
export type RetiredList = z.infer<typeof RetiredList>;
