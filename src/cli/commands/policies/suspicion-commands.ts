import type { Command } from 'commander';
import type { Suspicion, SuspicionsCleared } from '../../../api/contract/policy/suspicions.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { Cli, CommonOptions } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { formatTable } from '../../terminal/table.ts';

interface ClearOptions extends CommonOptions {
  readonly note?: string;
  readonly yes?: boolean;
}

/** Adds `suspicion`. */
export function addSuspicionCommands(program: Command, cli: Cli): void {
  const suspicion = program
    .command('suspicion')
    .description('VMs whose content looks encrypted since some point');
  suspicion
    .command('list', { isDefault: true })
    .description('those that nobody has answered')
    .option('--all', 'also those that were answered')
    .action(async (options: CommonOptions & { all?: boolean }) => {
      await cli.answer(options, list(cli, options.all === true));
    });
  suspicion
    .command('show')
    .description('what deviates from what is usual for a VM, and which point is clean')
    .argument('<vm>', 'name or id')
    .action(async (vm: string, options: CommonOptions) => {
      await cli.answer(options, show(cli, vm));
    });
  suspicion
    .command('clear')
    .description('take it for usual: points of the VM can be given up again')
    .argument('<vm>', 'name or id')
    .option('--note <text>', 'what it was, for those who come later')
    .option('--yes', 'do not ask')
    .action(async (vm: string, options: ClearOptions) => {
      await cli.answer(options, clear(cli, vm, options));
    });
}

async function list(cli: Cli, all: boolean): Promise<Outcome> {
  const suspicions = (await known(cli)).filter((each) => all || each.clearedAtMs === undefined);
  const time = (timeMs: number): string => cli.time(timeMs);
  return { document: { suspicions }, text: listText(suspicions, time) };
}

async function show(cli: Cli, vm: string): Promise<Outcome> {
  const suspicions = (await known(cli)).filter(({ vmId, vmName }) => vmId === vm || vmName === vm);
  if (suspicions.length === 0) {
    throw new Fault(
      'suspicion.unknown',
      `Nothing is suspected of a VM ${vm}; see hyperkeep suspicion list.`,
    );
  }
  const text = suspicions.map((each) => oneText(each, (timeMs) => cli.time(timeMs))).join('\n');
  return { document: { suspicions }, text };
}

async function clear(cli: Cli, vm: string, options: ClearOptions): Promise<Outcome> {
  await cli.confirm(
    `Take the present content of ${vm} for usual? Its points can be given up then, also the last clean one.`,
    options,
  );
  const passphrase = await cli.environment.readPassphrase('retention');
  const body = {
    ...(options.note === undefined ? {} : { note: options.note }),
    ...(passphrase === undefined ? {} : { retentionPassphrase: passphrase }),
  };
  const service = await cli.service();
  const answer = await service.call('clearSuspicion', { path: { vm }, body }, cli.signal);
  return { document: answer, text: answer.cleared.map(clearedText).join('') };
}

async function known(cli: Cli): Promise<readonly Suspicion[]> {
  return (await (await cli.service()).call('listSuspicions', {}, cli.signal)).suspicions;
}

function listText(suspicions: readonly Suspicion[], time: (timeMs: number) => string): string {
  if (suspicions.length === 0) {
    return 'Nothing looks encrypted.\n';
  }
  const columns = ['VM', 'VAULT', 'NOTICED', 'SINCE', 'LAST CLEAN POINT', 'ANSWER'];
  return formatTable(
    columns.map((title) => ({ title })),
    suspicions.map((each) => [
      each.vmName,
      each.vaultName,
      time(each.atMs),
      each.sinceId,
      `${each.cleanId ?? 'none'}${each.isHeld ? ' (held)' : ''}`,
      each.clearedBy === undefined ? 'none yet' : `${each.clearedBy}: ${each.note ?? ''}`,
    ]),
  );
}

function oneText(
  { vmName, vaultName, atMs, sinceId, cleanId, signals, ...rest }: Suspicion,
  time: (timeMs: number) => string,
): string {
  const { isHeld, holdProblem, clearedAtMs, clearedBy, note } = rest;
  const held = isHeld ? ', held' : holdProblem === undefined ? '' : `, not held: ${holdProblem}`;
  const lines = [
    `${vmName} in ${vaultName}: content looks encrypted since ${sinceId}; noticed ${time(atMs)}`,
    ...signals.map((signal) => `  ${signal}`),
    `  Last clean point: ${cleanId ?? 'none'}${held}`,
    clearedAtMs === undefined
      ? '  No point of this VM is given up until somebody answers: hyperkeep suspicion clear'
      : `  Cleared ${time(clearedAtMs)} by ${clearedBy ?? 'somebody'}${note === undefined ? '' : `: ${note}`}`,
  ];
  return lines.map((line) => `${plainText(line)}\n`).join('');
}

function clearedText({
  vmName,
  vaultName,
  cleanId,
  holdStays,
}: SuspicionsCleared['cleared'][number]): string {
  const hold =
    holdStays === undefined
      ? ''
      : ` The hold on ${cleanId ?? 'its clean point'} stays: ${holdStays} End it with: hyperkeep points release ${cleanId ?? ''} --vault ${vaultName}`;
  return `${plainText(`${vmName} in ${vaultName}: what it has is usual from now on.${hold}`)}\n`;
}
