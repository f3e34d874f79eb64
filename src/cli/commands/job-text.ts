import type { BackupResult, Job, RestoreResult, VerifyResult } from '../../api/contract/jobs.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';
import { formatDuration } from '../terminal/quantities.ts';
import { retainText } from './policies/retire-text.ts';
import type { ShowTime } from '../vault-text/show-time.ts';
import { spendingText } from '../vault-text/spending-text.ts';
import { upkeepText } from './upkeep-text.ts';

/** Returns what a job did, as lines for people. */
export function jobResultText(job: Job, time: ShowTime): string {
  const { result } = job;
  if (result === undefined) {
    return '';
  }
  if (result.kind === 'backup') {
    return backupText(result, job);
  }
  if (result.kind === 'restore') {
    return restoreText(result);
  }
  if (result.kind === 'verify') {
    return verifyText(result);
  }
  if (result.kind === 'retain') {
    return retainText(result);
  }
  return upkeepText(result, time) + spendingText(result.spending);
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
    ...(result.found ? ['  found sealed: an earlier attempt of the same run took it'] : []),
    ...result.notes.map(note),
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

const PROBLEMS_SHOWN = 10;

const PROVED = [
  'every pack is there with its length',
  'packs, map and content seals are whole; the content itself was not read',
  'every byte was read and authenticated',
  'every byte was read, authenticated and compared with its id',
];

function verifyText(result: VerifyResult): string {
  const { pointId, level, problems, notes, spending } = result;
  const amount = `${formatBytes(result.verifiedBytes)} read in ${formatDuration(result.durationMs)}`;
  const shown = problems
    .slice(0, PROBLEMS_SHOWN)
    .map(({ code, message }) => `  ${plainText(`${code}: ${message}`)}`);
  const more = problems.length - shown.length;
  return [
    problems.length === 0
      ? `Recovery point ${pointId} is whole: ${PROVED[level] ?? ''} (${amount}).`
      : `Recovery point ${pointId} is damaged (${amount}):`,
    ...shown,
    ...(more > 0 ? [`  and ${String(more)} more`] : []),
    ...notes.map(note),
    spending === undefined ? '' : spendingText(spending),
  ].join('\n');
}

function note(sentence: string): string {
  return `  note: ${plainText(sentence)}`;
}
