import { z } from 'zod';
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
    /** How its bytes were obtained. */
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
    /** Sentences for people: what went on although something was missing. */
    notes: z.array(z.string()),
    disks: z.array(PointDisk),
    /** When all its content was last found whole, by a verification or by scrubs. */
    provenAtMs: TimeMs.optional(),
    /** A verification found it damaged, and none has found it whole since. */
    damagedAtMs: TimeMs.optional(),
    /** How far scrubs have come: its packs, those found whole, those found damaged. */
    scrub: z
      .object({
        packs: z.int().nonnegative(),
        proven: z.int().nonnegative(),
        damaged: z.int().nonnegative(),
      })
      .optional(),
    /**
     * Why nobody may give it up; empty when somebody may. As the vault said when it was last asked.
     */
    holds: z.array(z.object({ atMs: TimeMs, reason: z.string() })).readonly(),
  })
  .meta({ id: 'Point' });
export type Point = z.infer<typeof Point>;

/** GET /api/v1/points */
export const PointQuery = z
  .strictObject({
    /** A VM that is gone may still be named: its recovery points keep its name and id. */
    vm: VmReference.optional(),
    /** The VM by its id alone, where two have one name. */
    vmId: VmIdReference.optional(),
    vault: VaultReference.optional(),
    /** `true` brings the catalog up to date with the vaults first. */
    refresh: z.enum(['true', 'false']).default('false'),
  })
  .meta({ id: 'PointQuery' });
export type PointQuery = z.infer<typeof PointQuery>;

/** GET /api/v1/points/:point */
export const OnePointQuery = z
  .strictObject({
    /** Needed where a point was copied to several vaults, and one of them is meant. */
    vault: VaultReference.optional(),
  })
  .meta({ id: 'OnePointQuery' });
export type OnePointQuery = z.infer<typeof OnePointQuery>;

/** 200 of GET /api/v1/points, oldest first. */
export const PointList = z.object({ points: z.array(Point) }).meta({ id: 'PointList' });
export type PointList = z.infer<typeof PointList>;
