import type { Command } from 'commander';
import type {
  ProtectionStatus,
  RetentionState,
  VmProtection,
} from '../../../api/contract/policies.ts';
import type { Cli, CommonOptions } from '../../cli.ts';
import { EXIT_NOT_WELL, type Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count, formatDuration } from '../../terminal/quantities.ts';
import { formatTable } from '../../terminal/table.ts';
import { copyText, troubleText } from './care-text.ts';
import { unreadableText } from './policy-text.ts';

/** The worst first: what needs somebody stands at the top. */
const ORDER = ['unprotected', 'paused', 'no-point', 'late', 'ok'] as const;

const WORDS: Readonly<Record<VmProtection['state'], string>> = {
  unprotected: 'UNPROTECTED',
  paused: 'PAUSED',
  'no-point': 'NO POINT',
  late: 'LATE',
  ok: 'ok',
};

/** Adds `status`. */
export function addStatusCommand(program: Command, cli: Cli): void {
  program
    .command('status')
    .description('every VM: protected by what, newest point, next run, late or not')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, status(cli));
    });
}

async function status(cli: Cli): Promise<Outcome> {
  const answer = await (await cli.service()).call('protection', {}, cli.signal);
  return {
    document: answer,
    text: statusText(answer, (timeMs) => cli.time(timeMs)),
    ...(answer.ok ? {} : { exitCode: EXIT_NOT_WELL }),
  };
}

/** Returns the state of every VM, the worst first, and how many are not well. */
function statusText(status: ProtectionStatus, time: (timeMs: number) => string): string {
  const { atMs, vms, unreadable, unknownRuns, givenUpFromHere, retention } = status;
  const troubles = unreadable
    .map(({ policy, problem }) => unreadableText(policy, problem))
    .join('');
  const old =
    unknownRuns === undefined
      ? ''
      : `No schedule fires: the vaults have ${count(unknownRuns.points, 'point')} of runs that the database does not know, the newest due ${time(unknownRuns.newestFireAtMs)}. If it was restored from an older dump on purpose: hyperkeep catalog accept\n`;
  const away = status.troubles.map(
    ({ vault, problem }) => `${plainText(`Vault ${vault}: ${problem}`)}\n`,
  );
  return (
    vmsText(vms, atMs, time) +
    status.suspicions.map(suspectedText).join('') +
    verificationText(status.verification, time) +
    keysText(givenUpFromHere) +
    retention.map(retentionText).join('') +
    status.copies.map(copyLine).join('') +
    status.care.map((care) => careLine(care, time)).join('') +
    old +
    away.join('') +
    troubles
  );
}

/** Returns what waits to be given up, and why. */
function retentionText({ vault, due, notHere, waiting, problem }: RetentionState): string {
  const lines = [
    problem === undefined ? '' : `Nothing is given up in ${vault}: ${problem}`,
    notHere === undefined
      ? ''
      : `${count(due, 'point')} in ${vault} ${due === 1 ? 'waits' : 'wait'} to be given up: ${notHere}.`,
    ...waiting.map(
      ({ policy, revision, points }) =>
        `Revision ${String(revision)} of policy ${policy} waits for a person, it would give up ${count(points, 'point')} early: hyperkeep policy retire ${policy}`,
    ),
  ];
  return lines.map((line) => (line === '' ? '' : `${plainText(line)}\n`)).join('');
}

function copyLine({ vault, copy, ...state }: ProtectionStatus['copies'][number]): string {
  return `${plainText(`Copy ${copy} of ${vault} ${copyText(state)}.`)}\n`;
}

function careLine(
  { vault, task, ...trouble }: ProtectionStatus['care'][number],
  time: (timeMs: number) => string,
): string {
  return troubleText({ vaultName: vault, task, trouble }, time);
}

function suspectedText(suspicion: ProtectionStatus['suspicions'][number]): string {
  const { vmName, vaultName, sinceId, isHeld, cleanId } = suspicion;
  const clean = isHeld && cleanId !== undefined ? `${cleanId} is held` : 'nothing is held';
  const text = `SUSPICION: content of ${vmName} looks encrypted since ${sinceId} in ${vaultName}; ${clean}. hyperkeep suspicion show ${vmName}`;
  return `${plainText(text)}\n`;
}

function verificationText(
  { damaged, waiting }: ProtectionStatus['verification'],
  time: (timeMs: number) => string,
): string {
  const lines = [
    ...damaged.map(
      ({ vault, vmName, pointId, atMs }) =>
        `DAMAGED: the point ${pointId} of ${vmName} in ${vault}, seen ${time(atMs)}; no point of the VM is given up. hyperkeep points show ${pointId}`,
    ),
    ...waiting.map(
      ({ vault, count: amount, oldestMs, why }) =>
        `${count(amount, 'point')} in ${vault} ${amount === 1 ? 'waits' : 'wait'} to be verified since ${time(oldestMs)}: ${why ?? 'no host had time'}.`,
    ),
  ];
  return lines.map((line) => `${plainText(line)}\n`).join('');
}

/** A thief of the host has what the host has: docs/roles.md, "Who gives points up". */
function keysText(vaults: readonly string[]): string {
  return vaults.length === 0
    ? ''
    : `Whoever takes this host can give up every point in ${vaults.map(plainText).join(', ')}: it has the retention key.\n`;
}

function vmsText(
  vms: readonly VmProtection[],
  atMs: number,
  time: (timeMs: number) => string,
): string {
  if (vms.length === 0) {
    return 'No VMs yet. Add one with: hyperkeep vm add FILE\n';
  }
  const isShared = new Set(vms.map(({ host }) => host.id)).size > 1;
  const host = (name: string): string[] => (isShared ? [name] : []);
  const columns = [
    ...['VM', ...host('HOST'), 'STATE', 'PROTECTED BY', 'NEWEST POINT', 'NEXT RUN', 'NOTES'],
  ].map((title) => ({ title }));
  const rows = ORDER.flatMap((state) => vms.filter((vm) => vm.state === state)).map((vm) => [
    vm.vmName,
    ...host(vm.host.name),
    WORDS[vm.state],
    vm.by
      .map(({ policy, state }) => (state === 'paused' ? `${policy} (paused)` : policy))
      .join(', '),
    newestText(vm, atMs),
    nextText(vm, time),
    [...lateHost(vm, time), ...vm.by.flatMap(({ problem }) => problem ?? [])].join('; '),
  ]);
  return formatTable(columns, rows) + summaryOf(vms);
}

function lateHost({ host }: VmProtection, time: (timeMs: number) => string): string[] {
  return host.isLate ? [`host ${host.name} not seen since ${time(host.lastSeenMs)}`] : [];
}

function newestText({ by }: VmProtection, atMs: number): string {
  const times = by.flatMap(({ newest }) => newest?.takenAtMs ?? []);
  return times.length === 0
    ? 'none'
    : `${formatDuration(Math.max(0, atMs - Math.max(...times)))} ago`;
}

function nextText({ by }: VmProtection, time: (timeMs: number) => string): string {
  const times = by.flatMap(({ nextFireAtMs }) => nextFireAtMs ?? []);
  return times.length === 0 ? 'none' : time(Math.min(...times));
}

function summaryOf(vms: readonly VmProtection[]): string {
  const parts = ORDER.filter((state) => state !== 'ok').flatMap((state) => {
    const amount = vms.filter((vm) => vm.state === state).length;
    return amount === 0 ? [] : [`${String(amount)} ${WORDS[state].toLowerCase()}`];
  });
  return parts.length === 0
    ? `\n${count(vms.length, 'VM')}: every one has a policy and a point that is fresh enough.\n`
    : `\n${count(vms.length, 'VM')}: ${parts.join(', ')}.\n`;
}
