import type {
  CareHistory,
  CareList,
  CareRun,
  CareTask,
} from '../../../api/contract/policy/care.ts';
import { formatBytes } from '../../../kernel/text/bytes.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count, formatDuration } from '../../terminal/quantities.ts';
import { formatTable } from '../../terminal/table.ts';
import type { ShowTime } from '../../vault-text/show-time.ts';
import { scheduleText } from './policy-text.ts';

/** Returns the tasks of vaults as a table, and what is wrong under it. */
export function careText({ tasks, unreadable }: CareList, time: ShowTime): string {
  const columns = ['VAULT', 'TASK', 'SCHEDULE', 'NEXT', 'LAST', 'STATE'];
  const table =
    tasks.length === 0
      ? 'No vaults yet.\n'
      : formatTable(
          columns.map((title) => ({ title })),
          tasks.map((task) => [
            task.vaultName,
            task.task,
            `${scheduleText(task.schedule)}${task.isDefault ? ' (default)' : ''}`,
            task.nextFireAtMs === undefined ? 'never' : time(task.nextFireAtMs),
            task.last === undefined ? 'never' : time(task.last.endedAtMs ?? task.last.fireAtMs),
            stateOf(task),
          ]),
        );
  return [
    table,
    ...tasks.map((task) => troubleText(task, time)),
    ...unreadable.map(({ vault, problem }) =>
      plainText(
        `Nothing is done for vault ${vault}: what is written cannot be read: ${problem}`,
      ).concat('\n'),
    ),
  ].join('');
}

function stateOf({ last, trouble, copy }: CareTask): string {
  if (copy !== undefined) {
    return copyText(copy);
  }
  return trouble === undefined ? (last?.state ?? '') : 'NOT DONE';
}

/** Returns how far a copy is behind. */
export function copyText({
  points,
  bytes,
  seconds,
  isLate,
}: NonNullable<CareTask['copy']>): string {
  if (points === 0) {
    return 'has every point';
  }
  const lacks = `lacks ${count(points, 'point')}, ${formatBytes(bytes)}, since ${formatDuration(seconds * 1000)}`;
  return isLate ? `LATE: ${lacks}` : lacks;
}

/** Says why a task is not done; empty if it is. */
export function troubleText(
  { vaultName, task, trouble }: Pick<CareTask, 'vaultName' | 'task' | 'trouble'>,
  time: ShowTime,
): string {
  return trouble === undefined
    ? ''
    : plainText(
        `The ${task} of vault ${vaultName} is not done since ${time(trouble.sinceMs)}: ${trouble.text}`,
      ).concat('\n');
}

/** Returns runs as a table, newest first. */
export function careRunsText(runs: readonly CareRun[], time: ShowTime): string {
  if (runs.length === 0) {
    return 'No runs yet.\n';
  }
  const isShared = new Set(runs.flatMap(({ host }) => host ?? [])).size > 1;
  const host = (name = ''): string[] => (isShared ? [name] : []);
  const titles = ['DUE', 'VAULT', 'TASK', ...host('HOST'), 'STATE', 'ATTEMPTS', 'ENDED', 'WHY'];
  return formatTable(
    titles.map((title) => ({ title })),
    runs.map((run) => [
      time(run.fireAtMs),
      run.vaultName,
      run.task,
      ...host(run.host),
      run.state,
      run.attempt === 0 ? '' : String(run.attempt),
      run.endedAtMs === undefined ? '' : time(run.endedAtMs),
      [run.fault?.code, run.why].filter((part) => part !== undefined).join(', '),
    ]),
  );
}

/** Returns who changed what and when. */
export function careHistoryText({ revisions }: CareHistory, time: ShowTime): string {
  if (revisions.length === 0) {
    return 'Nothing was ever written about the care of this vault: it is cared for as by default.\n';
  }
  return formatTable(
    ['WHEN', 'WHO', 'REVISION', 'CHANGE', 'FIELDS'].map((title) => ({ title })),
    revisions.map(({ atMs, author, number, change, fields }) => [
      time(atMs),
      author,
      String(number),
      change,
      fields.join(', '),
    ]),
  );
}
