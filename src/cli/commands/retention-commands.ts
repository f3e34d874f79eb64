import type { Command } from 'commander';
import type { Point } from '../../api/contract/points.ts';
import { choosePoint, withoutGivenUp } from '../options/choose-point.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';
import { VM_ID_OPTION, withWhichVm } from '../options/which-vm.ts';
import { holdsText, retiredText, retirementPlanText } from '../vault-text/retention-text.ts';
import { findVault, findVaultOfRetired, type VaultAsked } from './find-vault.ts';
import { endedJob, runJob } from './job-run.ts';
import { showPoint } from './show-commands.ts';
import { listPoints, type PointsOptions } from './point-list.ts';

interface WhichOptions extends CommonOptions, VaultAsked {
  readonly yes?: boolean;
}

const LISTED_BY = 'hyperkeep points';

/** Adds the commands that list recovery points and say how long each is kept. */
export function addRetentionCommands(program: Command, cli: Cli): void {
  const points = program
    .command('points')
    .description('recovery points, and how long they are kept');
  withWhichVm(
    points.command('list', { isDefault: true }).description('the recovery points, oldest first'),
    'of this VM only; it may be gone',
  )
    .option('--vault <name>', 'in this vault only')
    .option('--refresh', 'look into the vaults first')
    .action(async (options: PointsOptions) => {
      await cli.answer(options, listPoints(cli, options));
    });
  points
    .command('show')
    .description('one recovery point')
    .argument('<point>', 'id or its beginning')
    .option('--vault <name>', 'in this vault')
    .action(async (asked: string, options: CommonOptions & { vault?: string }) => {
      await cli.answer(options, showPoint(cli, asked, options));
    });
  const inVault = (command: Command): Command =>
    command.option('--vault <name>', 'in which vault, where it cannot be told');
  inVault(points.command('retire').description('give recovery points up, for ever'))
    .argument('<points...>', 'ids, their beginnings, or "latest"')
    .option('--vm <name>', 'whose points; needed for "latest" when the vault holds several VMs')
    .option(...VM_ID_OPTION)
    .option('--dry-run', 'say what it would free, and stop')
    .option('--yes', 'do not ask')
    .action(async (asked: string[], options: WhichOptions & { dryRun?: boolean }) => {
      await cli.answer(options, retire(cli, asked, options));
    });
  inVault(points.command('hold').description('keep a recovery point from being given up'))
    .argument('[point]', 'id, its beginning, or "latest"; without it, those that are held')
    .option('--vm <name>', 'whose point; needed for "latest" when the vault holds several VMs')
    .option(...VM_ID_OPTION)
    .option('--reason <text>', 'why, for those who come later', '')
    .action(async (asked: string | undefined, options: WhichOptions & { reason: string }) => {
      await cli.answer(options, hold(cli, asked, options));
    });
  inVault(points.command('release').description('end all holds on a recovery point'))
    .argument('<point>', 'id or its beginning')
    .option('--yes', 'do not ask')
    .action(async (asked: string, options: WhichOptions) => {
      await cli.answer(options, release(cli, asked, options));
    });
  inVault(points.command('revive').description('bring a point back that was given up'))
    .argument('[point]', 'id or its beginning; without it, those that can be tried')
    .action(async (asked: string | undefined, options: WhichOptions) => {
      await cli.answer(options, revive(cli, asked, options));
    });
}

async function retire(
  cli: Cli,
  asked: readonly string[],
  options: WhichOptions & { readonly dryRun?: boolean },
): Promise<Outcome> {
  const vault = await findVault(cli, options, asked);
  const all = await pointsIn(cli, vault);
  const service = await cli.service();
  const { points: gone } = await service.call('listRetired', { path: { vault } }, cli.signal);
  const givenUp = gone.map(({ pointId }) => pointId);
  const { left, before } = withoutGivenUp(asked, all, givenUp);
  if (left.length === 0) {
    return { document: { retired: [], before }, text: 'All of them were given up before.\n' };
  }
  const chosen = left.map((one) => choosePoint(all, one, { ...options, listedBy: LISTED_BY }));
  const ids = [...new Set(chosen.map(({ id }) => id))];
  const planned = await endedJob(cli, { route: 'planRetirement', vault, body: { points: ids } });
  const { result } = planned;
  const text =
    result?.kind === 'retirement-plan'
      ? retirementPlanText(result.plan, (timeMs) => cli.time(timeMs))
      : '';
  if (options.dryRun === true) {
    return { document: { plan: planned }, text: `${text}Nothing was changed.\n` };
  }
  cli.sayLines(text);
  await cli.confirm(`Give up ${count(ids.length, 'recovery point')}?`, options);
  const passphrase = await cli.environment.readPassphrase('retention');
  const body = { points: ids, ...secretOf(passphrase) };
  const retired = await service.call('retirePoints', { path: { vault }, body }, cli.signal);
  return {
    document: { plan: planned, retired: retired.points, before },
    text: `${count(ids.length, 'recovery point')} given up. "hyperkeep vault prune ${vault}" gives the space back; until then "hyperkeep points revive --vault ${vault}" brings one back.\n`,
  };
}

async function hold(
  cli: Cli,
  asked: string | undefined,
  options: WhichOptions & { readonly reason: string },
): Promise<Outcome> {
  const { reason } = options;
  const vault = await findVault(cli, options, asked === undefined ? [] : [asked]);
  const service = await cli.service();
  const path = { vault };
  if (asked === undefined) {
    const answer = await service.call('listHolds', { path }, cli.signal);
    return { document: answer, text: holdsText(answer.holds, (timeMs) => cli.time(timeMs)) };
  }
  const all = await pointsIn(cli, vault);
  const { id } = choosePoint(all, asked, { ...options, listedBy: LISTED_BY });
  const answer = await service.call('holdPoint', { path, body: { point: id, reason } }, cli.signal);
  return {
    document: answer,
    text: `${id} is held: nobody gives it up before the hold is released.\n`,
  };
}

async function release(cli: Cli, asked: string, options: WhichOptions): Promise<Outcome> {
  const service = await cli.service();
  const path = { vault: await findVault(cli, options, [asked]) };
  const prefix = asked.toUpperCase();
  const { holds } = await service.call('listHolds', { path }, cli.signal);
  for (const { reason } of holds.filter(({ pointId }) => pointId.startsWith(prefix))) {
    cli.sayLines(`Held: ${plainText(reason)}\n`);
  }
  await cli.confirm('Release it? It can be given up then.', options);
  const passphrase = await cli.environment.readPassphrase('retention');
  const body = { point: prefix, ...secretOf(passphrase) };
  const answer = await service.call('releasePoint', { path, body }, cli.signal);
  const ids = new Set(answer.holds.map(({ pointId }) => pointId));
  return { document: answer, text: `${[...ids].join(', ')} is not held any more.\n` };
}

async function revive(cli: Cli, asked: string | undefined, options: VaultAsked): Promise<Outcome> {
  const words = asked === undefined ? [] : [asked];
  const vault = await findVaultOfRetired(cli, options, words);
  if (asked === undefined) {
    const service = await cli.service();
    const answer = await service.call('listRetired', { path: { vault } }, cli.signal);
    return { document: answer, text: retiredText(answer.points) };
  }
  const body = { point: asked.toUpperCase() };
  return await runJob(cli, { route: 'revivePoint', vault, body }, { wait: true });
}

/** Returns the present points of a vault. */
async function pointsIn(cli: Cli, vault: string): Promise<readonly Point[]> {
  const query = { vault, refresh: 'true' };
  const { points } = await (await cli.service()).call('listPoints', { query }, cli.signal);
  return points;
}

function secretOf(passphrase: string | undefined): { retentionPassphrase?: string } {
  return passphrase === undefined ? {} : { retentionPassphrase: passphrase };
}
