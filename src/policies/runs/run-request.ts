import assert from 'node:assert/strict';
import { backupKey, type BackupParameters } from '../../backup/backup.job.ts';
import { groupKey, type GroupBackupParameters } from '../../backup/group-backup.job.ts';
import type { StoredRun } from '../../catalog/run-rows.ts';
import type { JobRequest } from '../../jobs/job.ts';
import { groupRules } from '../document/group.ts';
import { guestCommandsOf } from '../document/guest-commands.ts';
import { jobLimits } from '../document/job-limits.ts';
import type { KnownPolicy } from '../known-policy.ts';
import { ORDER } from './startable.ts';

interface NamedVault {
  readonly id: string;
  readonly name: string;
}

/** Returns the job of runs that have its id: a backup, or one of a group. */
export function requestOf(
  runs: readonly StoredRun[],
  policy: KnownPolicy,
  vault: NamedVault,
): JobRequest {
  const [first] = runs;
  const { group } = policy.document;
  assert(first !== undefined, 'a job is of a run');
  const request =
    group === undefined
      ? backupOf(first, policy, vault)
      : groupBackupOf(first, { runs, policy, rules: groupRules(group) }, vault);
  return { ...request, priority: ORDER.normal - ORDER[policy.document.priority] };
}

function backupOf(run: StoredRun, policy: KnownPolicy, vault: NamedVault): JobRequest {
  const { vmId, vmName } = run;
  const origin = { ...originOf(run, policy), run: run.id };
  const parameters: BackupParameters = { vmId, ...common(policy, vault), origin };
  return {
    ...idOf(run),
    kind: 'backup',
    subject: { vmId, vmName, vaultId: vault.id, vaultName: vault.name },
    parameters,
    exclusiveKey: backupKey(vmId),
  };
}

interface GroupRun {
  readonly runs: readonly StoredRun[];
  readonly policy: KnownPolicy;
  readonly rules: GroupBackupParameters['rules'];
}

function groupBackupOf(
  first: StoredRun,
  { runs, policy, rules }: GroupRun,
  vault: NamedVault,
): JobRequest {
  const parameters: GroupBackupParameters = {
    ...common(policy, vault),
    members: runs.map(({ id, vmId }) => ({ vmId, run: id })),
    rules,
    origin: { ...originOf(first, policy), kind: 'group' },
  };
  const vmName = runs.map((run) => run.vmName).join(', ');
  return {
    ...idOf(first),
    kind: 'backup-group',
    subject: { vmName, vaultId: vault.id, vaultName: vault.name },
    parameters,
    exclusiveKey: groupKey(policy.id),
  };
}

function idOf({ jobId }: StoredRun): Pick<JobRequest, 'id'> {
  return jobId === null ? {} : { id: jobId };
}

function common(
  { document }: KnownPolicy,
  { id: vaultId }: NamedVault,
): Omit<BackupParameters, 'vmId' | 'origin'> {
  return {
    vaultId,
    crashConsistent: document.consistency === 'crash',
    full: false,
    ...jobLimits(document),
    ...guestCommandsOf(document.guestCommands),
  };
}

function originOf(
  { fireAtMs, attempt, revision, actor }: StoredRun,
  { name }: KnownPolicy,
): NonNullable<BackupParameters['origin']> {
  return {
    ...{ kind: 'policy' as const, policy: name, revision, fireAtMs, attempt },
    ...(actor === null ? {} : { actor }),
  };
}
