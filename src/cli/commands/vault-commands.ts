import type { Command } from 'commander';
import { resolve } from 'node:path';
import type { CreateVaultInput, VaultSummary } from '../../api/contract/vaults.ts';
import { Fault } from '../../kernel/fault.ts';
import { generatePassphrase } from '../../kernel/text/generated-passphrase.ts';
import { parseCount } from '../terminal/amounts.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { existingPassphrase, generatedAdvice, newPassphrase } from '../options/passphrase.ts';
import { count } from '../terminal/quantities.ts';
import {
  readRecoveryFile,
  recoveryAdvice,
  recoveryFilePath,
  RecoveryFilePlace,
} from '../options/recovery-file.ts';
import {
  storeCredentials,
  withCredentialsOptions,
  type CredentialsOptions,
} from '../options/store-credentials.ts';
import { withRetentionOptions } from '../options/retention-options.ts';
import { formatTable } from '../terminal/table.ts';
import { trialText } from '../vault-text/trial-text.ts';
import { showVault } from './show-commands.ts';
import { addDestroyCommand } from './vaults/destroy-command.ts';
import { addCredentialsCommands } from './credentials-commands.ts';
import { addUpkeepCommands } from './upkeep-commands.ts';

interface LocationOptions extends CommonOptions, CredentialsOptions {
  readonly location: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly singleWriter?: boolean;
}

interface CreateOptions extends LocationOptions {
  readonly recoveryFile?: string;
  readonly generatePassphrase?: boolean;
  readonly lock?: 'governance' | 'compliance';
  readonly lockDays?: string;
  readonly separateRetentionKey?: boolean;
}

export function addVaultCommands(program: Command, cli: Cli): void {
  const vault = program.command('vault').description('vaults: where recovery points are kept');
  const withLocation = (command: Command): Command =>
    withCredentialsOptions(command)
      .requiredOption('--location <place>', 'a folder or s3://bucket/prefix')
      .option('--endpoint <url>', 'an S3 service that is not AWS')
      .option('--region <name>', 'region of the bucket')
      .option('--single-writer', 'accept a store that other machines may cache');
  withRetentionOptions(
    withLocation(
      vault
        .command('create')
        .description('create a vault and its recovery file')
        .argument('<name>'),
    )
      .option('--generate-passphrase', 'let a strong passphrase be generated and shown once')
      .option('--recovery-file <path>', 'default: hyperkeep-recovery-NAME.txt in this folder'),
  ).action(async (name: string, options: CreateOptions) => {
    await cli.answer(options, createVault(cli, name, options));
  });
  withLocation(
    vault.command('add').description('make a vault that exists known here').argument('<name>'),
  )
    .option('--recovery-file <path>', 'open the vault with this file instead of its passphrase')
    .action(async (name: string, options: CreateOptions) => {
      await cli.answer(options, addVault(cli, name, options));
    });
  vault
    .command('list')
    .description('the vaults known here')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, listVaults(cli));
    });
  vault
    .command('show')
    .description('one vault, and its newest recovery points')
    .argument('<vault>', 'name, id or the beginning of it')
    .action(async (name: string, options: CommonOptions) => {
      await cli.answer(options, showVault(cli, name));
    });
  vault
    .command('forget')
    .description('forget a vault here; what is in it stays')
    .argument('<name>')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: CommonOptions & { yes?: boolean }) => {
      await cli.confirm(
        `Forget the vault ${name}? Its recovery points stay in it, its key is removed from this machine.`,
        options,
      );
      await cli.answer(options, forgetVault(cli, name));
    });
  addDestroyCommand(vault, cli);
  addCredentialsCommands(vault, cli);
  addUpkeepCommands(vault, cli);
}

async function createVault(cli: Cli, name: string, options: CreateOptions): Promise<Outcome> {
  const { workingFolder, terminal } = cli.environment;
  const body = vaultRequest(cli, name, options);
  const path = recoveryFilePath(
    { name, location: body.location },
    options.recoveryFile,
    workingFolder,
  );
  const service = await cli.service();
  const passphrase =
    options.generatePassphrase === true
      ? undefined
      : await newPassphrase(cli.environment, cli.signal);
  const retention = await retentionOf(cli, options);
  const lock = lockOf(options);
  await using place = await RecoveryFilePlace.reserve(path);
  const created = await service.call(
    'createVault',
    {
      body: { ...body, ...lock, ...retention, ...(passphrase === undefined ? {} : { passphrase }) },
    },
    cli.signal,
  );
  if (created.passphrase !== undefined) {
    terminal.errors.write(generatedAdvice(created.passphrase));
  }
  if (created.recoveryFile !== undefined) {
    await place.write(created.recoveryFile);
    terminal.errors.write(recoveryAdvice(path));
  }
  const recoveryFile = created.recoveryFile === undefined ? {} : { recoveryFile: path };
  return {
    document: {
      vault: created.vault,
      ...recoveryFile,
      ...(created.trial === undefined ? {} : { trial: created.trial }),
    },
    text: `${created.trial === undefined ? '' : `${trialText(created.trial)}\n`}Vault ${created.vault.name} created at ${created.vault.location}.\n`,
  };
}

/**
 * Returns the passphrase for a separate retention key, if one is wanted; the service does not keep
 * it.
 */
async function retentionOf(
  { environment, signal }: Cli,
  { separateRetentionKey }: CreateOptions,
): Promise<{ retentionPassphrase?: string }> {
  if (separateRetentionKey !== true) {
    return {};
  }
  const chosen = await newPassphrase(environment, signal, 'retention');
  if (chosen !== undefined) {
    return { retentionPassphrase: chosen };
  }
  const generated = generatePassphrase();
  environment.terminal.errors.write(generatedAdvice(generated, 'Passphrase of the retention key'));
  return { retentionPassphrase: generated };
}

function lockOf({ lock, lockDays }: CreateOptions): Pick<CreateVaultInput, 'lock'> {
  if (lock === undefined) {
    if (lockDays !== undefined) {
      throw new Fault(
        'request.invalid',
        '--lock-days needs --lock governance or --lock compliance.',
      );
    }
    return {};
  }
  return {
    lock: {
      mode: lock,
      ...(lockDays === undefined ? {} : { days: parseCount('--lock-days', lockDays) }),
    },
  };
}

function vaultRequest(cli: Cli, name: string, options: LocationOptions): CreateVaultInput {
  const { endpoint, region } = options;
  const credentials = storeCredentials(options, cli.environment.workingFolder);
  return {
    name,
    location: absoluteLocation(options.location, cli.environment.workingFolder),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(options.singleWriter === true ? { singleWriter: true } : {}),
  };
}

/** Resolves a folder from the user's working folder, because the service runs in another. */
function absoluteLocation(location: string, workingFolder: string): string {
  return /^[a-z0-9]+:\/\//.test(location) ? location : resolve(workingFolder, location);
}

async function addVault(cli: Cli, name: string, options: CreateOptions): Promise<Outcome> {
  const service = await cli.service();
  const key =
    options.recoveryFile === undefined
      ? { passphrase: await existingPassphrase(cli.environment, cli.signal) }
      : {
          recoveryFile: await readRecoveryFile(
            resolve(cli.environment.workingFolder, options.recoveryFile),
            (sentence) => {
              cli.say(sentence);
            },
          ),
        };
  const { vault } = await service.call(
    'createVault',
    { body: { ...vaultRequest(cli, name, options), ...key, existing: true } },
    cli.signal,
  );
  return {
    document: { vault },
    text: `Vault ${vault.name} at ${vault.location} is known here: ${count(vault.points, 'recovery point')}.\n`,
  };
}

async function listVaults(cli: Cli): Promise<Outcome> {
  const answer = await (await cli.service()).call('listVaults', {}, cli.signal);
  const row = (vault: VaultSummary): string[] => [
    vault.name,
    vault.location,
    String(vault.points),
    cli.time(vault.createdAtMs),
    vault.problem ?? 'ok',
  ];
  const columns = [
    { title: 'NAME' },
    { title: 'LOCATION' },
    { title: 'POINTS', align: 'right' as const },
    { title: 'CREATED' },
    { title: 'STATE' },
  ];
  return {
    document: answer,
    text:
      answer.vaults.length === 0
        ? 'No vaults yet. Create one with: hyperkeep vault create NAME --location FOLDER-or-s3://bucket/prefix\n'
        : formatTable(columns, answer.vaults.map(row)),
  };
}

async function forgetVault(cli: Cli, name: string): Promise<Outcome> {
  await (await cli.service()).call('forgetVault', { path: { vault: name } }, cli.signal);
  return { document: { forgotten: name }, text: `Vault ${name} is forgotten here.\n` };
}
