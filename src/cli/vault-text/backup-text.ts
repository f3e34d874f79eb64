import type { BackupResult, GroupResult, Job } from '../../api/contract/jobs.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count, formatDuration } from '../terminal/quantities.ts';
import { guestCommandLines } from './guest-command-text.ts';

type Names = Pick<Job, 'vmName' | 'vaultName'>;

/** Returns what a backup did, for people. */
export function backupText(result: BackupResult, { vmName, vaultName }: Names): string {
  const disks = result.disks.map((disk) => {
    const how = disk.method === 'full' ? `whole disk (${disk.reason ?? 'full'})` : 'changes only';
    return `  ${plainText(disk.name)}: read ${formatBytes(disk.readBytes)}, new ${formatBytes(disk.newBytes)}, stored ${formatBytes(disk.storedBytes)}; ${how}`;
  });
  return [
    `Recovery point ${result.pointId} of ${vmName ?? result.vmId} is in ${vaultName ?? result.vaultId} (${formatDuration(result.durationMs)}).`,
    ...disks,
    `  together: read ${formatBytes(result.readBytes)}, stored ${formatBytes(result.storedBytes)}`,
    `  consistency: ${result.consistency}${heldText(result)}`,
    ...(result.found ? ['  found sealed: an earlier attempt of the same run took it'] : []),
    ...guestCommandLines(result.guestCommands ?? []),
    ...result.notes.map(noteLine),
    '',
  ].join('\n');
}

/** Returns what a backup of several VMs at one moment did, for people. */
export function groupText(result: GroupResult, { vaultName }: Names): string {
  const { backups, missing, skewMs, groupId, isComplete, guestCommands } = result;
  const skew = skewMs === undefined ? '' : `, taken within ${String(skewMs)} ms`;
  const lacking = isComplete ? 'complete' : `INCOMPLETE, without ${missing.join(', ')}`;
  return [
    plainText(`Set ${groupId} of ${count(backups.length, 'point')} is ${lacking}${skew}.`),
    ...backups.map((each) => backupText(each, { vmName: each.vmId, vaultName }).trimEnd()),
    ...guestCommands.flatMap(({ vmName, ...report }) => [
      plainText(`${vmName}:`),
      ...guestCommandLines([report]),
    ]),
    '',
  ].join('\n');
}

/** Returns how long the guest was held; nothing for a VM that did not run. */
function heldText({ guestFrozenMs, transactionMs }: BackupResult): string {
  if (transactionMs === 0) {
    return '';
  }
  const frozen = guestFrozenMs === 0 ? '' : `guest frozen ${formatDuration(guestFrozenMs)}, `;
  return `; ${frozen}snapshot ${transactionMs.toFixed(1)} ms`;
}

export function noteLine(sentence: string): string {
  return `  note: ${plainText(sentence)}`;
}
