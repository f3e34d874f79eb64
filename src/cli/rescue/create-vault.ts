import { basename } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import { generatePassphrase } from '../../kernel/text/generated-passphrase.ts';
import type { LockMode } from '../../vault/store/bucket-features.ts';
import type { LockPolicy } from '../../vault/store/locking-store.ts';
import { storeTrial } from '../../vault/probe/store-trial.ts';
import { Vault } from '../../vault/vault.ts';
import { VmName } from '../../vm/definition.ts';
import type { Cli } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { generatedAdvice, newPassphrase } from '../options/passphrase.ts';
import { recoveryAdvice, recoveryFilePath, RecoveryFilePlace } from '../options/recovery-file.ts';
import { trialText } from '../vault-text/trial-text.ts';
import { checkedName } from './import/import-plan.ts';
import { contactPlace, openOptions, openStore, type VaultAddress } from './vault-access.ts';

export interface CreateOptions extends VaultAddress {
  readonly name?: string;
  readonly recoveryFile?: string;
  readonly generatePassphrase?: boolean;
  readonly separateRetentionKey?: boolean;
  readonly lock?: LockMode;
  readonly lockDays?: string;
}

/** Creates a vault and its recovery file, and opens the vault with that file as a test. */
export async function createVault(cli: Cli, options: CreateOptions): Promise<Outcome> {
  const name = options.name === undefined ? nameOf(options.vault) : checkedName(options.name);
  const { environment, signal } = cli;
  const path = recoveryFilePath(
    { name, location: options.vault },
    options.recoveryFile,
    environment.workingFolder,
  );
  await contactPlace(cli, options);
  await using resources = new AsyncDisposableStack();
  const store = resources.adopt(await openStore(cli, options), (opened) => opened.close());
  await using place = await RecoveryFilePlace.reserve(path);
  const chosen =
    options.generatePassphrase === true ? undefined : await newPassphrase(environment, signal);
  const passphrase = chosen ?? generatePassphrase();
  const retention = await newRetention(cli, options);
  const lock = lockOf(options);
  const { vault, recoveryFile, capabilities } = await Vault.create(
    store,
    {
      ...openOptions(cli),
      name,
      passphrase,
      probe: {},
      ...(retention === undefined ? {} : { retentionPassphrase: retention.passphrase }),
      ...(lock === undefined ? {} : { lock }),
      ...(options.singleWriter === true ? { singleWriter: true } : {}),
    },
    signal,
  );
  await vault.close();
  if (chosen === undefined) {
    cli.sayLines(generatedAdvice(passphrase));
  }
  if (retention?.generated === true) {
    cli.sayLines(generatedAdvice(retention.passphrase, 'Passphrase of the retention key'));
  }
  const content = await place.write(recoveryFile);
  const again = await Vault.open(
    store,
    { kind: 'recovery-file', content },
    openOptions(cli),
    signal,
  );
  await again.close();
  cli.sayLines(recoveryAdvice(path));
  return {
    document: {
      vault: { id: vault.id, name, location: store.location },
      recoveryFile: path,
      capabilities,
    },
    text:
      (capabilities === undefined ? '' : `${trialText(storeTrial(capabilities))}\n`) +
      `Vault ${name} created at ${store.location}; its recovery file was tested.\n`,
  };
}

/** Returns the last part of the location, if that can be a name. @throws Fault `request.invalid` */
function nameOf(location: string): string {
  const last = basename(location);
  const { data, error } = VmName.safeParse(last);
  if (error !== undefined) {
    throw new Fault(
      'request.invalid',
      `The name of the vault would be the last part of its location, and "${last}" is no name: ${error.issues[0]?.message ?? 'invalid'}. Choose one with --name.`,
      { name: last },
    );
  }
  return data;
}

async function newRetention(
  { environment, signal }: Cli,
  { separateRetentionKey, generatePassphrase: generate }: CreateOptions,
): Promise<{ passphrase: string; generated: boolean } | undefined> {
  if (separateRetentionKey !== true) {
    return undefined;
  }
  const chosen =
    generate === true ? undefined : await newPassphrase(environment, signal, 'retention');
  return { passphrase: chosen ?? generatePassphrase(), generated: chosen === undefined };
}

function lockOf({ lock, lockDays }: CreateOptions): LockPolicy | undefined {
  const days = Number(lockDays ?? '30');
  if ((lock === undefined && lockDays !== undefined) || !Number.isInteger(days)) {
    throw new Fault(
      'request.invalid',
      '--lock-days is a whole number of days and needs --lock governance or --lock compliance.',
    );
  }
  return lock === undefined ? undefined : { mode: lock, days };
}
