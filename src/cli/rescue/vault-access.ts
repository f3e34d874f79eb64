import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type ObjectStore } from '../../vault/object-store.ts';
import { openObjectStore } from '../../vault/object-stores/location.ts';
import { Vault } from '../../vault/vault.ts';
import { type OpenOptions, type VaultUnlock } from '../../vault/vault-options.ts';
import { type Cli, type CommonOptions } from '../cli.ts';
import { existingPassphrase } from '../passphrase.ts';
import { readRecoveryFile } from '../recovery-file.ts';

/** Where the vault is, on every rescue command. */
export interface VaultPlace extends CommonOptions {
  readonly vault: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly singleWriter?: boolean;
}

export interface VaultKey extends VaultPlace {
  readonly recoveryFile?: string;
}

/** Somebody sits in front: after this long a store that does not answer is given up. */
const PATIENCE_MS = 2 * 60_000;

export async function openStore(cli: Cli, place: VaultPlace): Promise<ObjectStore> {
  const { vault, endpoint, region, singleWriter } = place;
  let said = false;
  return await openObjectStore(
    vault,
    {
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      allowNetworkFileSystem: singleWriter === true,
      retry: {
        patienceMs: PATIENCE_MS,
        wait: async (delayMs, signal) => {
          if (!said) {
            cli.say(`${vault} does not answer; trying again for two minutes.`);
            said = true;
          }
          await pause(delayMs, undefined, { signal });
        },
      },
    },
    cli.signal,
  );
}

export function openOptions(cli: Cli): OpenOptions {
  return { cacheFolder: join(cli.environment.cacheFolder, 'vaults') };
}

/** Opens the vault with its passphrase or its recovery file: nothing else is needed. */
async function openVault(cli: Cli, key: VaultKey): Promise<Vault> {
  const store = await openStore(cli, key);
  try {
    return await Vault.open(store, await unlock(cli, key), openOptions(cli), cli.signal);
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Runs `work` on the opened vault and closes it. */
export async function withVault<Result>(
  cli: Cli,
  key: VaultKey,
  work: (vault: Vault) => Promise<Result>,
): Promise<Result> {
  const vault = await openVault(cli, key);
  try {
    return await work(vault);
  } finally {
    await vault.close();
  }
}

async function unlock(cli: Cli, { recoveryFile }: VaultKey): Promise<VaultUnlock> {
  return recoveryFile === undefined
    ? { kind: 'passphrase', passphrase: await existingPassphrase(cli.environment, cli.signal) }
    : { kind: 'recovery-file', content: await readRecoveryFile(recoveryFile) };
}
