import type { Command } from 'commander';
import type { Host } from '../../../api/contract/hosts.ts';
import type { Cli, CommonOptions } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { count } from '../../terminal/quantities.ts';
import { formatTable } from '../../terminal/table.ts';

interface ForgetOptions extends CommonOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export function addHostCommands(program: Command, cli: Cli): void {
  const host = program.command('host').description('the hosts whose services share the database');
  host
    .command('list')
    .description('every host, its VMs, and when its service was last seen')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, listHosts(cli));
    });
  host
    .command('forget')
    .description('remove a host that is gone for good, and its VMs; their recovery points stay')
    .argument('<host>', 'name, id or the beginning of it')
    .option('--dry-run', 'only show what would be forgotten')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: ForgetOptions) => {
      await forgetHost(cli, name, options);
    });
}

async function listHosts(cli: Cli): Promise<Outcome> {
  const answer = await (await cli.service()).call('listHosts', {}, cli.signal);
  const columns = ['NAME', 'ADDRESS', 'VERSION', 'VMS', 'LAST SEEN', 'ID', 'NOTES'];
  const row = (host: Host): string[] => [
    host.name,
    host.address ?? '',
    host.version,
    String(host.vms.length),
    cli.time(host.lastSeenMs),
    host.id,
    host.isThis ? 'this one' : host.isLate ? 'not seen for a while' : '',
  ];
  const titles = columns.map((title) => ({ title }));
  return { document: answer, text: formatTable(titles, answer.hosts.map(row)) };
}

async function forgetHost(cli: Cli, name: string, options: ForgetOptions): Promise<void> {
  const { dryRun = false } = options;
  const call = async (plan: boolean) => {
    const body = { dryRun: plan };
    return (await cli.service()).call('forgetHost', { path: { host: name }, body }, cli.signal);
  };
  if (!dryRun) {
    const { host } = await call(true);
    await cli.confirm(`Forget ${whatText(host)}?`, options);
  }
  const answer = await call(dryRun);
  const verb = dryRun ? 'Would be forgotten' : 'Forgotten';
  const text = `${verb}: ${whatText(answer.host)}. Recovery points stay.\n`;
  await cli.answer(options, Promise.resolve({ document: answer, text }));
}

function whatText({ name, vms, goneVms }: Host): string {
  const names = vms.map((vm) => vm.name).join(', ');
  const its = `its ${count(vms.length, 'VM')}${names === '' ? '' : ` (${names})`} with their tags`;
  return `the host ${name}, ${its}${goneVms === 0 ? '' : ` and ${count(goneVms, 'VM')} gone before`}`;
}
