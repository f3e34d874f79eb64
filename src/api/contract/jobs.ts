import { z } from 'zod';
import { CARE_KINDS, DATA_KINDS, PROOF_KINDS, UPKEEP_KINDS } from '../../jobs/job.ts';
import { DestroyResult } from './destroy/destroy-result.ts';
import { GuestLatencyLimit } from '../../kernel/rates/guest-latency.ts';
import { RateLimits } from '../../kernel/rates/rate-limits.ts';
import { COMPRESSION_LEVELS, type CompressionLevel } from '../../vault/bytes/zstd.ts';
import { VmDefinition, VmName } from '../../vm/definition.ts';
import {
  ByteCount,
  HostPath,
  PointId,
  PointReference,
  TimeMs,
  VaultId,
  VaultReference,
  VmIdReference,
  VmReference,
} from './references.ts';
import { RetainResult } from './policy/retention.ts';
import { SpendingLimits, SpendingReport } from './spending.ts';
import {
  CopyResult,
  KeepResult,
  ProbeResult,
  PruneResult,
  RepairResult,
  RetirementPlanResult,
  ReviveResult,
  ScrubResult,
  UsageResult,
} from './upkeep-results.ts';

/** Compression levels, from 1 (fast) to 7 (small). */
export { COMPRESSION_LEVELS, type CompressionLevel };

/** POST /api/v1/backups, answered 202 with the Job. */
export const StartBackup = z
  .strictObject({
    vm: VmReference,
    /** Optional if exactly one vault is registered. */
    vault: VaultReference.optional(),
    /** Does not ask the guest agent to freeze file systems. */
    crashConsistent: z.boolean().default(false),
    /** Reads every disk whole, whatever change tracking says. */
    full: z.boolean().default(false),
    /** 1 (fast) to 7 (small). Default: the highest that does not slow the backup. */
    compressionLevel: z.literal(COMPRESSION_LEVELS).optional(),
    /** For what is read from the disks. */
    rateLimits: RateLimits.optional(),
    /** Reads slower while the guest's own writes take longer. */
    guestLatency: GuestLatencyLimit.optional(),
  })
  .meta({ id: 'StartBackup' });
export type StartBackup = z.infer<typeof StartBackup>;

/** A recovery point by its id or the beginning of it, or the newest one of a VM. */
export const pointOf = {
  vault: VaultReference.optional(),
  point: PointReference.optional(),
  /** Instead of `point`: the newest recovery point of this VM. */
  vm: VmReference.optional(),
  /** The VM by its id alone, if two have one name. */
  vmId: VmIdReference.optional(),
};

/** For what is read from the vault. */
const rateLimits = RateLimits.optional();

const RestoreVm = z.strictObject({
  kind: z.literal('vm'),
  ...pointOf,
  /**
   * Name of the new VM, which then gets new ids and MAC addresses. Without it the VM comes back as
   * it was, and the original must be gone.
   */
  name: VmName.optional(),
  /**
   * Folder on the server's host for the disks; created, and must hold none of the files. Default:
   * under the service's home.
   */
  folder: HostPath.optional(),
  format: z.enum(['qcow2', 'raw']).default('qcow2'),
  /**
   * Files on the server's host that the VM boots from; paths in a recovery point are never used.
   * Optional if the VM boots by BIOS, or if a VM of this host boots from the same files.
   */
  bootFiles: z
    .strictObject({
      codePath: HostPath.optional(),
      kernelPath: HostPath.optional(),
      initrdPath: HostPath.optional(),
    })
    .default({}),
  rateLimits,
  /** Adds the VM to the engine once its disks are there. */
  add: z.boolean().default(true),
  /** Starts it afterwards; needs `add`. */
  start: z.boolean().default(false),
});

const RestoreDisk = z.strictObject({
  kind: z.literal('disk'),
  ...pointOf,
  /** Name or id of the disk in the recovery point. Optional if there is only one. */
  disk: z.string().min(1).max(64).optional(),
  /** File on the server's host, which must not exist. */
  file: HostPath,
  format: z.enum(['qcow2', 'raw']).default('raw'),
  rateLimits,
});

/** POST /api/v1/restores, answered 202 with the Job. */
export const StartRestore = z
  .discriminatedUnion('kind', [RestoreVm, RestoreDisk])
  .meta({ id: 'StartRestore' });
export type StartRestore = z.infer<typeof StartRestore>;
export type StartRestoreInput = z.input<typeof StartRestore>;

/** POST /api/v1/verifications, answered 202 with the Job. */
export const StartVerification = z
  .strictObject({
    ...pointOf,
    /**
     * 0: packs are there with their lengths; 1: also maps, seals and the link to the parent; 2:
     * also every byte, decrypted; 3: also every chunk id.
     */
    level: z.literal([0, 1, 2, 3]).default(3),
    limits: SpendingLimits.default({}),
  })
  .meta({ id: 'StartVerification' });
export type StartVerification = z.infer<typeof StartVerification>;

const JobKind = z.enum([...DATA_KINDS, ...UPKEEP_KINDS, ...CARE_KINDS, ...PROOF_KINDS]);
export type JobKind = z.infer<typeof JobKind>;

/** `interrupted`: the service stopped while it ran. Start it again: nothing is sent twice. */
const JobState = z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted']);
export type JobState = z.infer<typeof JobState>;

const JobProgress = z
  .object({
    phase: z.string(),
    doneBytes: ByteCount,
    /** May grow during the job. */
    totalBytes: ByteCount,
    /** What is counted instead of bytes: `points`. */
    counted: z.string().optional(),
    /** Why it makes no progress now, as a sentence for people. */
    trouble: z.string().optional(),
    /** Sentences for people: what to know before it is done. */
    notes: z.array(z.string()).readonly().optional(),
    rateBytesPerSecond: z.number().nonnegative(),
    /** Undefined if there is no estimate. */
    secondsLeft: z.number().nonnegative().optional(),
  })
  .meta({ id: 'JobProgress' });
export type JobProgress = z.infer<typeof JobProgress>;

const DiskBackupResult = z.object({
  name: z.string(),
  sizeBytes: ByteCount,
  method: z.enum(['changed-extents', 'full']),
  reason: z.string().optional(),
  readBytes: ByteCount,
  newBytes: ByteCount,
  storedBytes: ByteCount,
});

/** A command that ran inside a guest around its freeze, without its parameters. */
export const GuestCommandReport = z
  .object({
    /** `earlier`: promised to the guest by a backup before this one. */
    when: z.enum(['earlier', 'before', 'after']),
    program: z.string(),
    /** Undefined if it did not end by itself in time: `problem` says why. */
    exitCode: z.int().optional(),
    problem: z.string().optional(),
    /** What it printed, at most 64 KiB. */
    output: z.string(),
    /** Whether it printed more. */
    isCut: z.boolean(),
    durationMs: z.number().nonnegative(),
  })
  .meta({ id: 'GuestCommandReport' });
export type GuestCommandReport = z.infer<typeof GuestCommandReport>;

/** Of a backup that failed after commands ran in the guest. */
const GuestCommandsResult = z
  .object({
    kind: z.literal('guest-commands'),
    vmId: z.uuid(),
    guestCommands: z.array(GuestCommandReport),
  })
  .meta({ id: 'GuestCommandsResult' });

export const BackupResult = z
  .object({
    kind: z.literal('backup'),
    pointId: PointId,
    vaultId: VaultId,
    vmId: z.uuid(),
    consistency: z.enum(['filesystem', 'crash', 'powered-off', 'imported']),
    notes: z.array(z.string()),
    disks: z.array(DiskBackupResult),
    readBytes: ByteCount,
    newBytes: ByteCount,
    storedBytes: ByteCount,
    durationMs: z.number().nonnegative(),
    /** How long the guest's file systems were frozen; 0 without an agent. */
    guestFrozenMs: z.number().nonnegative(),
    /** How long the snapshot transaction over all disks took. */
    transactionMs: z.number().nonnegative(),
    /** How long reading waited because of `guestLatency`. */
    guestThrottledMs: z.number().nonnegative().optional(),
    /** Commands that ran inside the guest, in their order. */
    guestCommands: z.array(GuestCommandReport).optional(),
    /** The point is of an earlier attempt of the same run; this one only found it sealed. */
    found: z.literal(true).optional(),
  })
  .meta({ id: 'BackupResult' });
export type BackupResult = z.infer<typeof BackupResult>;

/** Points of one moment; of a job that failed, those that were sealed. */
export const GroupResult = z
  .object({
    kind: z.literal('backup-group'),
    vaultId: VaultId,
    /** The `group` in the origin of each point. */
    groupId: z.string(),
    /** Whether every VM has a point. An incomplete set is never chosen as the latest. */
    isComplete: z.boolean(),
    /** Names of the VMs without a point. */
    missing: z.array(z.string()),
    /** From before the first to after the last snapshot. */
    skewMs: z.number().nonnegative().optional(),
    backups: z.array(BackupResult),
    /** Of the VMs without a point. */
    guestCommands: z.array(GuestCommandReport.extend({ vmName: z.string() })),
    durationMs: z.number().nonnegative(),
  })
  .meta({ id: 'GroupResult' });
export type GroupResult = z.infer<typeof GroupResult>;

export const RestoreResult = z
  .object({
    kind: z.literal('restore'),
    pointId: PointId,
    /** Files that were written. */
    files: z.array(z.string()),
    /** Bytes of content written; holes are not counted. */
    writtenBytes: ByteCount,
    durationMs: z.number().nonnegative(),
    /** The new VM; undefined when one disk was restored. */
    definition: VmDefinition.optional(),
    /** Whether the VM was added to the engine. */
    added: z.boolean(),
    started: z.boolean(),
    notes: z.array(z.string()),
  })
  .meta({ id: 'RestoreResult' });
export type RestoreResult = z.infer<typeof RestoreResult>;

export const VerifyResult = z
  .object({
    kind: z.literal('verify'),
    pointId: PointId,
    /**
     * What was proven of the whole point; 2 instead of 3 if this host cannot compute the vault's
     * chunk ids; missing if that of a new point did not get so far.
     */
    level: z.int().min(0).max(3).optional(),
    /** Of a new point: what was proven beyond that of what it added. */
    addedLevel: z.int().min(0).max(3).optional(),
    packs: z.int().nonnegative(),
    frames: z.int().nonnegative(),
    chunks: z.int().nonnegative(),
    /** Bytes that were read from the store and authenticated. */
    verifiedBytes: ByteCount,
    durationMs: z.number().nonnegative(),
    notes: z.array(z.string()),
    /** What is damaged, at most 1000; the job has then failed with `point.damaged`. */
    problems: z
      .array(z.object({ code: z.string(), message: z.string(), diskId: z.string().optional() }))
      .readonly()
      .default([]),
    spending: SpendingReport.optional(),
  })
  .meta({ id: 'VerifyResult' });
export type VerifyResult = z.infer<typeof VerifyResult>;

const JobFault = z
  .object({
    /** A fault code of docs/errors.md, `cancelled`, or `internal` for a bug. */
    code: z.string(),
    message: z.string(),
    context: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  })
  .meta({ id: 'JobFault' });
export type JobFault = z.infer<typeof JobFault>;

/**
 * 202 of every start, 200 of GET /api/v1/jobs/:id and of POST /api/v1/jobs/:id/cancel, and the data
 * of each event.
 */
export const Job = z
  .object({
    id: z.uuid(),
    kind: JobKind,
    state: JobState,
    vmId: z.string().optional(),
    vmName: z.string().optional(),
    vaultId: VaultId.optional(),
    vaultName: z.string().optional(),
    /** On whose behalf: the name of a token, `local`, `api-token` or `service`. */
    actor: z.string().optional(),
    /** Name of the host that runs it, or ran it, or for which it waits; in lists and of one job. */
    host: z.string().optional(),
    createdAtMs: TimeMs,
    startedAtMs: TimeMs.optional(),
    finishedAtMs: TimeMs.optional(),
    /** The last report; kept after the end of the job. */
    progress: JobProgress.optional(),
    /** Set if the job failed, was cancelled or was interrupted. */
    fault: JobFault.optional(),
    /** Set if the job succeeded, or failed because of what it found. */
    result: z
      .discriminatedUnion('kind', [
        BackupResult,
        GuestCommandsResult,
        GroupResult,
        RestoreResult,
        VerifyResult,
        ProbeResult,
        UsageResult,
        RetirementPlanResult,
        ReviveResult,
        PruneResult,
        ScrubResult,
        RepairResult,
        CopyResult,
        KeepResult,
        DestroyResult,
        RetainResult,
      ])
      .optional(),
  })
  .meta({ id: 'Job' });
export type Job = z.infer<typeof Job>;

/** GET /api/v1/jobs */
export const JobQuery = z
  .strictObject({
    state: JobState.optional(),
    kind: JobKind.optional(),
    limit: z.coerce.number().int().min(1).max(1000).default(50),
  })
  .meta({ id: 'JobQuery' });
export type JobQuery = z.infer<typeof JobQuery>;

/** 200 of GET /api/v1/jobs, newest first. */
export const JobList = z.object({ jobs: z.array(Job) }).meta({ id: 'JobList' });
export type JobList = z.infer<typeof JobList>;

/** True if the job will not change any more. */
export function isFinished(job: Pick<Job, 'state'>): boolean {
  return job.state !== 'queued' && job.state !== 'running';
}
