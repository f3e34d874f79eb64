import type { StoredCareRevision } from '../../catalog/care/care-revisions.ts';
import type { StoredCareRun } from '../../catalog/care/care-run-rows.ts';
import type { TaskState } from '../../care/care.service.ts';
import { fieldChanges } from '../../policies/plan/field-changes.ts';
import type { CareHistory, CareRun, CareTask } from '../contract/policy/care.ts';

/** Returns a run in the form of the contract. @param hosts names of hosts by their ids */
export function viewOfCareRun(run: StoredCareRun, hosts: ReadonlyMap<string, string>): CareRun {
  const { id, vaultId, vaultName, task, fireAtMs, attempt, why, actor, jobId } = run;
  const host = run.hostId === null ? undefined : hosts.get(run.hostId);
  const fault = run.fault as CareRun['fault'] | null;
  return {
    ...{ id, vaultId, vaultName, task, fireAtMs, attempt },
    // Only services of this database wrote it.
    state: run.state as CareRun['state'],
    ...(host === undefined ? {} : { host }),
    ...(why === null ? {} : { why }),
    ...(actor === null ? {} : { actor }),
    ...(run.state === 'due' ? { nextTryAtMs: run.nextTryAtMs } : {}),
    ...(run.endedAtMs === null ? {} : { endedAtMs: run.endedAtMs }),
    ...(jobId === null ? {} : { jobId }),
    ...(fault ? { fault: { code: fault.code, message: fault.message } } : {}),
  };
}

/** Returns a task in the form of the contract. */
export function viewOfTask(
  { task, nextFireAtMs, last, trouble, copy }: TaskState,
  atMs: number,
  hosts: ReadonlyMap<string, string>,
): CareTask {
  const { vaultId, vaultName, name, isDefault, schedule } = task;
  return {
    ...{ vaultId, vaultName, task: name, isDefault, schedule: { ...schedule } },
    ...(nextFireAtMs === undefined ? {} : { nextFireAtMs }),
    ...(last === undefined ? {} : { last: viewOfCareRun(last, hosts) }),
    ...(trouble === undefined ? {} : { trouble }),
    ...(copy === undefined
      ? {}
      : { copy: { ...copy, seconds: Math.max(0, atMs - (copy.sinceMs ?? atMs)) / 1000 } }),
  };
}

/** @param revisions newest first */
export function viewOfCareHistory(revisions: readonly StoredCareRevision[]): CareHistory {
  return {
    revisions: revisions.map(({ number, change, author, atMs, document }, index) => {
      const before = revisions[index + 1];
      const isNext = before !== undefined && before.change !== 'removed' && change === 'changed';
      const changed = isNext ? fieldChanges(before.document, document) : [];
      return {
        ...{ number, author, atMs, document: document as Record<string, unknown> },
        change: change as CareHistory['revisions'][number]['change'],
        fields: changed.map(({ field }) => field),
      };
    }),
  };
}
