import { z } from 'zod';
import { FailedWith, type JobRun, type NeedsOf, type RunJob } from '../jobs/job.ts';
import { GROUP_MEMBERS_MAX } from '../vault/format/limits.ts';
import { PointOrigin } from '../vault/format/point-origin.ts';
import {
  backupResult,
  BackupParameters,
  refuseCommands,
  type BackupSettings,
} from './backup.job.ts';
import { GroupFailed, type GroupBackupService, type TakenGroup } from './group-backup.service.ts';

/** What the row of a job of the kind `backup-group` tells the operation. */
export const GroupBackupParameters = BackupParameters.omit({ vmId: true }).extend({
  members: z
    .array(z.strictObject({ vmId: z.string(), run: z.string() }))
    .min(1)
    .max(GROUP_MEMBERS_MAX),
  rules: z.strictObject({
    freezeWithinMs: z.int().positive(),
    spreadMs: z.int().positive(),
    late: z.enum(['crash-consistent', 'fail']),
  }),
  origin: PointOrigin.omit({ service: true, group: true, members: true, run: true }),
});
export type GroupBackupParameters = z.infer<typeof GroupBackupParameters>;

const OfVms = z.object({ members: z.array(z.object({ vmId: z.string() })) });

/** Says that backups of groups run where their VMs are. */
export const groupBackupNeeds: NeedsOf = (parameters) => {
  const { data } = OfVms.safeParse(parameters);
  return data && { vms: data.members.map(({ vmId }) => vmId) };
};

/** Key that only one unfinished backup of a policy's group can have. */
export function groupKey(policyId: string): string {
  return `backup-group ${policyId}`;
}

/** Returns how jobs of the kind `backup-group` run. The API shows their result as GroupResult. */
export function groupBackupJob(
  backups: Pick<GroupBackupService, 'take'>,
  settings: BackupSettings,
): RunJob {
  return async (parameters: unknown, run: JobRun) => {
    const request = GroupBackupParameters.parse(parameters);
    refuseCommands(request, settings);
    try {
      return groupResult(request.vaultId, await backups.take(request, run));
    } catch (error) {
      throw error instanceof GroupFailed
        ? new FailedWith(error.fault, groupResult(request.vaultId, error.taken))
        : error;
    }
  };
}

function groupResult(vaultId: string, { points, ...taken }: TakenGroup): object {
  return {
    kind: 'backup-group',
    vaultId,
    ...taken,
    backups: points.map((point) => backupResult(vaultId, point)),
  };
}
