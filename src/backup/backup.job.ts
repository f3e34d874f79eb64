import { z } from 'zod';
import type { JobRun, NeedsOf, RunJob } from '../jobs/job.ts';
import { PointOrigin } from '../vault/format/point-origin.ts';
import { GuestLatencyLimit } from '../kernel/rates/guest-latency.ts';
import { RateLimits } from '../kernel/rates/rate-limits.ts';
import { COMPRESSION_LEVELS } from '../vault/bytes/zstd.ts';
import { GuestCommandsRequest } from './guest-hooks.ts';
import { Fault } from '../kernel/fault.ts';
import type { BackupService, TakenPoint } from './backup.service.ts';

/** What the row of a backup job tells the operation. */
export const BackupParameters = z.strictObject({
  vmId: z.string(),
  vaultId: z.string(),
  crashConsistent: z.boolean(),
  full: z.boolean(),
  compressionLevel: z.literal(COMPRESSION_LEVELS).optional(),
  /** Default: by hand. The service says itself which one it is. */
  origin: PointOrigin.omit({ service: true }).optional(),
  rateLimits: RateLimits.optional(),
  guestLatency: GuestLatencyLimit.optional(),
  guestCommands: GuestCommandsRequest.optional(),
});
export type BackupParameters = z.infer<typeof BackupParameters>;

/** Key that only one unfinished backup per VM can have. */
export function backupKey(vmId: string): string {
  return `backup ${vmId}`;
}

export interface BackupSettings {
  /** Lets backups run commands inside guests as their administrator. */
  readonly guestCommands: boolean;
}

const OfVm = z.object({ vmId: z.string() });

/** Says that backups run where their VM is. */
export const backupNeeds: NeedsOf = (parameters) => {
  const { data } = OfVm.safeParse(parameters);
  return data && { vms: [data.vmId] };
};

/** Returns how jobs of the kind `backup` run. The API shows their result as BackupResult. */
export function backupJob(
  backups: Pick<BackupService, 'takeRecoveryPoint'>,
  settings: BackupSettings,
): RunJob {
  return async (parameters: unknown, run: JobRun) => {
    const request = BackupParameters.parse(parameters);
    refuseCommands(request, settings);
    return backupResult(request.vaultId, await backups.takeRecoveryPoint(request, run));
  };
}

/** A policy may have been applied while the service allowed more. */
export function refuseCommands(
  { guestCommands }: Pick<BackupParameters, 'guestCommands'>,
  settings: BackupSettings,
): void {
  if (guestCommands !== undefined && !settings.guestCommands) {
    throw new Fault(
      'policy.commands-refused',
      'The policy has commands for its guests, which this service does not allow any more.',
    );
  }
}

/** Returns what a backup did, as JSON. */
export function backupResult(vaultId: string, taken: TakenPoint): object {
  const { point, durationMs, guestFrozenMs, transactionMs, guestThrottledMs, found } = taken;
  const { guestCommands } = taken;
  const disks = point.disks.map(({ name, sizeBytes, method, reason, statistics }) => ({
    name,
    sizeBytes,
    method,
    ...(reason === undefined ? {} : { reason }),
    readBytes: statistics.readBytes,
    newBytes: statistics.newBytes,
    storedBytes: statistics.storedBytes,
  }));
  const total = { readBytes: 0, newBytes: 0, storedBytes: 0 };
  for (const disk of disks) {
    total.readBytes += disk.readBytes;
    total.newBytes += disk.newBytes;
    total.storedBytes += disk.storedBytes;
  }
  return {
    kind: 'backup',
    pointId: point.id,
    vaultId,
    vmId: point.vmId,
    consistency: point.consistency,
    notes: point.notes,
    disks,
    ...total,
    durationMs: Math.round(durationMs),
    guestFrozenMs,
    transactionMs,
    ...(guestThrottledMs !== undefined && { guestThrottledMs }),
    ...(guestCommands.length > 0 && { guestCommands }),
    ...(found && { found }),
  };
}
