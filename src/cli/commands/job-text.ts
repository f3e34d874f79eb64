import { type BackupResult, type Job, type RestoreResult } from '../../api/contract/jobs.ts';
import { formatBytes } from '../../kernel/bytes.ts';
import { plainText } from '../plain-text.ts';
import { formatDuration } from '../quantities.ts';

/** What a job did, as lines for people. */
export function jobResultText(job: Job): string {
  const { result } = job;
  switch (result?.kind) {
    case 'backup':
      return backupText(result, job);
    case 'restore':
      return restoreText(result);
    case 'verify':
      return [
        `Recovery point ${result.pointId} is whole: ${formatBytes(result.verifiedBytes)} read and authenticated in ${formatDuration(result.durationMs)}.`,
        ...result.notes.map(note),
        '',
      ].join('\n');
    case undefined:
      return '';
  }
}

function backupText(result: BackupResult, { vmName, vaultName }: Job): string {
  const disks = result.disks.map((disk) => {
    const how = disk.method === 'full' ? `whole disk (${disk.reason ?? 'full'})` : 'changes only';
    return `  ${plainText(disk.name)}: read ${formatBytes(disk.readBytes)}, new ${formatBytes(disk.newBytes)}, stored ${formatBytes(disk.storedBytes)}; ${how}`;
  });
  return [
    `Recovery point ${result.pointId} of ${vmName ?? result.vmId} is in ${vaultName ?? result.vaultId} (${formatDuration(result.durationMs)}).`,
    ...disks,
    `  together: read ${formatBytes(result.readBytes)}, stored ${formatBytes(result.storedBytes)}`,
    `  consistency: ${result.consistency}${heldText(result)}`,
    ...result.notes.map(note),
    '',
  ].join('\n');
}

/** How long the guest was held; nothing for one that did not run. */
function heldText({ guestFrozenMs, transactionMs }: BackupResult): string {
  if (transactionMs === 0) {
    return '';
  }
  const frozen = guestFrozenMs === 0 ? '' : `guest frozen ${formatDuration(guestFrozenMs)}, `;
  return `; ${frozen}snapshot ${transactionMs.toFixed(1)} ms`;
}

function restoreText(result: RestoreResult): string {
  const { definition } = result;
  const where = definition === undefined ? 'Disk' : `VM ${definition.name}`;
  const state = result.started ? ' and started' : '';
  return [
    `${where} restored from ${result.pointId}: ${formatBytes(result.writtenBytes)} written in ${formatDuration(result.durationMs)}.`,
    ...result.files.map((file) => `  ${plainText(file)}`),
    ...(result.added ? [`  added to the engine${state}`] : []),
    ...result.notes.map(note),
    '',
  ].join('\n');
}

function note(sentence: string): string {
  return `  note: ${plainText(sentence)}`;
}
