import { type Command, Option } from 'commander';
import { type CredentialsList, CredentialsRole } from '../../api/contract/vault-credentials.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import {
  storeCredentials,
  withCredentialsOptions,
  type CredentialsOptions,
} from '../options/store-credentials.ts';
import type { Outcome } from '../outcome.ts';
import { formatTable } from '../terminal/table.ts';

interface RoleOptions extends CommonOptions {
  readonly role: CredentialsRole;
}

export function addCredentialsCommands(vault: Command, cli: Cli): void {
  const credentials = vault
    .command('credentials')
    .description('what the service shows the store of a vault, by role');
  const role = (): Option =>
    new Option('--role <role>', 'docs/roles.md; any: for those without their own')
      .choices(CredentialsRole.options)
      .default('any');
  credentials
    .command('list')
    .description('the credentials of a vault, without their secrets')
    .argument('<vault>')
    .action(async (name: string, options: CommonOptions) => {
      await cli.answer(options, list(cli, name));
    });
  withCredentialsOptions(
    credentials
      .command('set')
      .description('set credentials, once the store has answered to them; no restart is needed')
      .argument('<vault>')
      .addOption(role()),
  ).action(async (name: string, options: RoleOptions & CredentialsOptions) => {
    await cli.answer(options, set(cli, name, options));
  });
  credentials
    .command('remove')
    .description('forget the credentials of a role here')
    .argument('<vault>')
    .addOption(role())
    .action(async (name: string, options: RoleOptions) => {
      await cli.answer(options, remove(cli, name, options));
    });
}

async function list(cli: Cli, vault: string): Promise<Outcome> {
  const service = await cli.service();
  return outcome(await service.call('listCredentials', { path: { vault } }, cli.signal));
}

async function set(
  cli: Cli,
  vault: string,
  options: RoleOptions & CredentialsOptions,
): Promise<Outcome> {
  const credentials = storeCredentials(options, cli.environment.workingFolder);
  if (credentials === undefined) {
    throw new Fault('request.invalid', 'Give the credentials with --profile or --keys-file.');
  }
  const { role } = options;
  const service = await cli.service();
  const body = { role, credentials };
  return outcome(await service.call('setCredentials', { path: { vault }, body }, cli.signal));
}

async function remove(cli: Cli, vault: string, { role }: RoleOptions): Promise<Outcome> {
  const service = await cli.service();
  return outcome(await service.call('removeCredentials', { path: { vault, role } }, cli.signal));
}

function outcome(document: CredentialsList): Outcome {
  const columns = ['ROLE', 'CREDENTIALS'].map((title) => ({ title }));
  const rows = document.credentials.map(({ role, profile, accessKeyId }) => [
    role,
    profile === undefined ? `key ${accessKeyId ?? ''}` : `profile ${profile}`,
  ]);
  return {
    document,
    text:
      rows.length === 0
        ? 'None of its own: the service uses its AWS settings.\n'
        : formatTable(columns, rows),
  };
}
