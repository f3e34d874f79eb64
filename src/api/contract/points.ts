import { z } from 'zod';
import { PointOrigin } from '../../vault/format/point-origin.ts';
import { PointKeeping } from './policy/retention.ts';
import {
  ByteCount,
  PointId,
  TimeMs,
  VaultId,
  VaultReference,
  VmIdReference,
  VmReference,
} from './references.ts';

const PointDisk = z
  .object({
    diskId: z.string(),
    name: z.string(),
    sizeBytes: ByteCount,
    /** How the bytes of the disk were obtained. */
    method: z.enum(['changed-extents', 'full']),
    /** Why the whole disk was read; undefined for `changed-extents`. */
    reason: z.string().optional(),
    readBytes: ByteCount,
    newBytes: ByteCount,
    storedBytes: ByteCount,
  })
  .meta({ id: 'PointDisk' });
export type PointDisk = z.infer<typeof PointDisk>;

export const Point = z
  .object({
    id: PointId,
    vaultId: VaultId,
    vaultName: z.string(),
    vmId: z.string(),
    vmName: z.string(),
    takenAtMs: TimeMs,
    parentId: z.string().optional(),
    consistency: z.enum(['filesystem', 'crash', 'powered-off', 'imported']),
    /** Sentences for people: what was done although something was missing. */
    notes: z.array(z.string()),
    disks: z.array(PointDisk),
    /** Where it comes from, as it says itself; missing counts as by hand. */
    origin: PointOrigin.optional(),
    /** How the set of points of one moment is that it belongs to, in this vault. */
    set: z
      .object({
        isComplete: z.boolean(),
        /** Ids of the VMs of the set without a point. */
        missing: z.array(z.string()).readonly(),
      })
      .optional(),
    /** When a verification or scrubs last found all its content whole. */
    provenAtMs: TimeMs.optional(),
    /** When a verification found it damaged, if none has found it whole since. */
    damagedAtMs: TimeMs.optional(),
    /** The last verification, whatever it found: by which host, and how far it came. */
    check: z
      .object({
        atMs: TimeMs,
        by: z.string(),
        /** Of the whole point; missing if it did not get so far. */
        level: z.int().min(0).max(3).optional(),
        /** Beyond that, of what the point added to the vault. */
        addedLevel: z.int().min(0).max(3).optional(),
      })
      .optional(),
    /** How far scrubs have come: all of its packs, those found whole, those found damaged. */
    scrub: z
      .object({
        packs: z.int().nonnegative(),
        proven: z.int().nonnegative(),
        damaged: z.int().nonnegative(),
      })
      .optional(),
    /** Why the newest decision keeps it or gives it up; missing if nothing was decided yet. */
    keeping: PointKeeping.optional(),
    /**
     * Why nobody may give it up, according to the vault when it was last asked; empty if somebody
     * may.
     */
    holds: z.array(z.object({ atMs: TimeMs, reason: z.string() })).readonly(),
  })
  .meta({ id: 'Point' });
export type Point = z.infer<typeof Point>;

/** GET /api/v1/points */
export const PointQuery = z
  .strictObject({
    /** May name a VM that is gone: its recovery points keep its name and id. */
    vm: VmReference.optional(),
    /** The VM by its id alone, if two have one name. */
    vmId: VmIdReference.optional(),
    vault: VaultReference.optional(),
    /** `true` first brings the catalog up to date with the vaults. */
    refresh: z.enum(['true', 'false']).default('false'),
  })
  .meta({ id: 'PointQuery' });
export type PointQuery = z.infer<typeof PointQuery>;

/** GET /api/v1/points/:point */
export const OnePointQuery = z
  .strictObject({
    /** Needed if the point was copied to several vaults, to choose one. */
    vault: VaultReference.optional(),
  })
  .meta({ id: 'OnePointQuery' });
export type OnePointQuery = z.infer<typeof OnePointQuery>;

/** 200 of GET /api/v1/points, oldest first. */
export const PointList = z.object({ points: z.array(Point) }).meta({ id: 'PointList' });
export type PointList = z.infer<typeof PointList>;
