import type { Command } from 'commander';
import type { Cli, CommonOptions } from '../../cli.ts';
import { readInput } from '../../options/input-file.ts';
import type { Outcome } from '../../outcome.ts';
import { count } from '../../terminal/quantities.ts';
import { withWait, type WaitOptions } from '../job-run.ts';
import { planText } from './plan-text.ts';
import { addRetireCommands } from './retire-command.ts';
import { runPolicy } from './policy-run.ts';
import { addSimulateCommand } from './simulate-command.ts';
import { historyText, policiesText, policyText, storedPolicyText } from './policy-text.ts';

const POLICIES = {
  what: 'policy',
  code: 'policy.invalid',
  charactersMax: 256 * 1024,
} as const;

type FileOptions = CommonOptions & { readonly file: string; readonly prune?: boolean };
type ApplyOptions = FileOptions & {
  readonly dryRun?: boolean;
  readonly plan?: string;
  readonly yes?: boolean;
};

/** Adds `apply` and `policy`. */
export function addPolicyCommands(program: Command, cli: Cli): void {
  withFile(program.command('apply').description('make the policies those of a file, all or none'))
    .option('--dry-run', 'only show what would change, and for which VMs')
    .option('--plan <id>', 'only if it would change what this plan said')
    .option('--yes', 'even if more small objects are left in a vault than it can bear for long')
    .action(async (options: ApplyOptions) => {
      const work = options.dryRun === true ? diff(cli, options) : apply(cli, options);
      await cli.answer(options, work);
    });
  const policy = program.command('policy').description('what is protected, and how often');
  withFile(
    policy.command('diff').description('what a file would change, and for which VMs'),
  ).action(async (options: FileOptions) => {
    await cli.answer(options, diff(cli, options));
  });
  addLooking(policy, cli);
  addActing(policy, cli);
  addRetireCommands(policy, cli);
  addSimulateCommand(policy, cli);
}

function withFile(command: Command): Command {
  return command
    .requiredOption('-f, --file <file>', 'YAML; "-" reads standard input')
    .option('--prune', 'remove the policies that the file does not have');
}

function addLooking(policy: Command, cli: Cli): void {
  policy
    .command('list')
    .description('the policies, and how many VMs each protects')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, list(cli));
    });
  policy
    .command('show')
    .description('one policy, and the VMs that it protects')
    .argument('<policy>', 'its name')
    .action(async (name: string, options: CommonOptions) => {
      await cli.answer(options, show(cli, name));
    });
  policy
    .command('export')
    .description('the policies as the file that makes them again')
    .argument('[policy]', 'only this one')
    .action(async (name: string | undefined, options: CommonOptions) => {
      await cli.answer(options, exportPolicies(cli, name));
    });
  policy
    .command('history')
    .description('who changed what and when, also of a policy that is gone')
    .argument('<policy>', 'its name')
    .action(async (name: string, options: CommonOptions) => {
      await cli.answer(options, history(cli, name));
    });
}

function addActing(policy: Command, cli: Cli): void {
  policy
    .command('pause')
    .description('start nothing by itself until it is resumed')
    .argument('<policy>', 'its name')
    .action(async (name: string, options: CommonOptions) => {
      await cli.answer(options, setPaused(cli, name, 'pausePolicy'));
    });
  policy
    .command('resume')
    .description('go on from now; what would have run meanwhile is not made up for')
    .argument('<policy>', 'its name')
    .action(async (name: string, options: CommonOptions) => {
      await cli.answer(options, setPaused(cli, name, 'resumePolicy'));
    });
  withWait(
    policy
      .command('run')
      .description('take a recovery point of each of its VMs now')
      .argument('<policy>', 'its name'),
  ).action(async (name: string, options: WaitOptions) => {
    await cli.answer(options, runPolicy(cli, name, options));
  });
}

async function bodyOf(cli: Cli, { file, prune }: FileOptions): Promise<object> {
  const text = await readInput(cli, file, POLICIES);
  const source = file === '-' ? 'standard input' : file;
  return { text, source, prune: prune === true };
}

async function diff(cli: Cli, options: FileOptions): Promise<Outcome> {
  const body = await bodyOf(cli, options);
  const plan = await (await cli.service()).call('planPolicies', { body }, cli.signal);
  return { document: plan, text: planText(plan, { applied: false }) };
}

async function apply(cli: Cli, options: ApplyOptions): Promise<Outcome> {
  const { plan: id, yes } = options;
  const body = {
    ...(await bodyOf(cli, options)),
    ...(id === undefined ? {} : { plan: id }),
    yes: yes === true,
  };
  const plan = await (await cli.service()).call('applyPolicies', { body }, cli.signal);
  return { document: plan, text: planText(plan, { applied: true }) };
}

async function list(cli: Cli): Promise<Outcome> {
  const answer = await (await cli.service()).call('listPolicies', {}, cli.signal);
  return { document: answer, text: policiesText(answer.policies) };
}

async function show(cli: Cli, name: string): Promise<Outcome> {
  const service = await cli.service();
  const policy = await service.call('getPolicy', { path: { policy: name } }, cli.signal);
  if (policy.problem !== undefined) {
    return { document: policy, text: storedPolicyText(policy) };
  }
  const call = { query: { policy: policy.name } };
  const { text } = await service.call('exportPolicies', call, cli.signal);
  return { document: policy, text: policyText(policy, text) };
}

async function exportPolicies(cli: Cli, name: string | undefined): Promise<Outcome> {
  const call = { query: { policy: name } };
  const exported = await (await cli.service()).call('exportPolicies', call, cli.signal);
  return { document: exported, text: exported.text };
}

async function history(cli: Cli, name: string): Promise<Outcome> {
  const call = { path: { policy: name } };
  const answer = await (await cli.service()).call('policyHistory', call, cli.signal);
  return { document: answer, text: historyText(answer, (timeMs) => cli.time(timeMs)) };
}

async function setPaused(
  cli: Cli,
  name: string,
  route: 'pausePolicy' | 'resumePolicy',
): Promise<Outcome> {
  const call = { path: { policy: name }, body: {} };
  const policy = await (await cli.service()).call(route, call, cli.signal);
  const text = policy.paused
    ? `Policy ${policy.name} is paused: nothing takes points of its ${count(policy.vms.length, 'VM')} by itself.\n`
    : `Policy ${policy.name} goes on from now.\n`;
  return { document: policy, text };
}
