import type { Job, RestoreResult, VerifyResult } from '../../api/contract/jobs.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';
import { formatDuration } from '../terminal/quantities.ts';
import { retainText } from './policies/retire-text.ts';
import type { ShowTime } from '../vault-text/show-time.ts';
import { spendingText } from '../vault-text/spending-text.ts';
import { backupText, groupText, noteLine } from '../vault-text/backup-text.ts';
import { guestCommandLines } from '../vault-text/guest-command-text.ts';
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
  if (result.kind === 'backup-group') {
    return groupText(result, job);
  }
  if (result.kind === 'guest-commands') {
    return [...guestCommandLines(result.guestCommands), ''].join('\n');
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

function restoreText(result: RestoreResult): string {
  const { definition } = result;
  const where = definition === undefined ? 'Disk' : `VM ${definition.name}`;
  const state = result.started ? ' and started' : '';
  return [
    `${where} restored from ${result.pointId}: ${formatBytes(result.writtenBytes)} written in ${formatDuration(result.durationMs)}.`,
    ...result.files.map((file) => `  ${plainText(file)}`),
    ...(result.added ? [`  added to the engine${state}`] : []),
    ...result.notes.map(noteLine),
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

function provedText(level: number | undefined): string {
  return (level === undefined ? undefined : PROVED[level]) ?? 'not all of it was looked at';
}

function verifyText(result: VerifyResult): string {
  const { pointId, level, addedLevel, problems, notes, spending } = result;
  const amount = `${formatBytes(result.verifiedBytes)} read in ${formatDuration(result.durationMs)}`;
  const shown = problems
    .slice(0, PROBLEMS_SHOWN)
    .map(({ code, message }) => `  ${plainText(`${code}: ${message}`)}`);
  const more = problems.length - shown.length;
  return [
    problems.length === 0
      ? `Recovery point ${pointId} is whole: ${provedText(level)} (${amount}).`
      : `Recovery point ${pointId} is damaged (${amount}):`,
    ...(addedLevel === undefined ? [] : [`  of what it added, ${provedText(addedLevel)}`]),
    ...shown,
    ...(more > 0 ? [`  and ${String(more)} more`] : []),
    ...notes.map(noteLine),
    spending === undefined ? '' : spendingText(spending),
  ].join('\n');
}
