import { basename } from 'node:path';
import { Vault } from '../../vault/vault.ts';
import { type Cli } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { generatedAdvice, generatePassphrase, newPassphrase } from '../passphrase.ts';
import { recoveryAdvice, recoveryFilePath, RecoveryFilePlace } from '../recovery-file.ts';
import { checkedName } from './import-plan.ts';
import { openOptions, openStore, type VaultPlace } from './vault-access.ts';

export interface CreateOptions extends VaultPlace {
  readonly name?: string;
  readonly recoveryFile?: string;
  readonly generatePassphrase?: boolean;
}

/** Creates a vault and its recovery file, and opens the vault with that file as a test. */
export async function createVault(cli: Cli, options: CreateOptions): Promise<Outcome> {
  const name = checkedName(options.name ?? basename(options.vault));
  const { environment, signal } = cli;
  const path = recoveryFilePath(
    { name, location: options.vault },
    options.recoveryFile,
    environment.workingFolder,
  );
  await using resources = new AsyncDisposableStack();
  const store = resources.adopt(await openStore(cli, options), (opened) => opened.close());
  await using place = await RecoveryFilePlace.reserve(path);
  const chosen =
    options.generatePassphrase === true ? undefined : await newPassphrase(environment, signal);
  const passphrase = chosen ?? generatePassphrase();
  const { vault, recoveryFile } = await Vault.create(
    store,
    {
      ...openOptions(cli),
      name,
      passphrase,
      ...(options.singleWriter === true ? { singleWriter: true } : {}),
    },
    signal,
  );
  await vault.close();
  if (chosen === undefined) {
    cli.sayLines(generatedAdvice(passphrase));
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
    document: { vault: { id: vault.id, name, location: store.location }, recoveryFile: path },
    text: `Vault ${name} created at ${store.location}; its recovery file was tested.\n`,
  };
}
