import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Fault } from '../../kernel/fault.ts';
import { Spending } from '../../vault/budget/spending.ts';
import { FirstVersionStore } from '../../vault/store/first-versions.ts';
import type { ObjectStore } from '../../vault/store/object-store.ts';
import { contactStore, openObjectStore } from '../../vault/object-stores/location.ts';
import { passingServiceId } from '../../vault/format/record-names.ts';
import type { RecoveryPoint } from '../../vault/points/recovery-point.ts';
import { HeldLease } from '../../vault/records/held-lease.ts';
import { refuseDestroyed } from '../../vault/destroy/destruction-mark.ts';
import { Vault } from '../../vault/vault.ts';
import type { OpenOptions } from '../../vault/access/vault-options.ts';
import type { VaultUnlock } from '../../vault/keys/vault-unlock.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { existingPassphrase } from '../options/passphrase.ts';
import { readRecoveryFile } from '../options/recovery-file.ts';
import { TerminalLog } from '../terminal/terminal-log.ts';
import { openSpending, type SpendingOptions } from './spending-options.ts';

/** Where the vault is; options of every rescue command. */
export interface VaultAddress extends CommonOptions, SpendingOptions {
  readonly vault: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly singleWriter?: boolean;
  /** Uses the first version of each object, past whatever somebody wrote over it. */
  readonly firstVersion?: boolean;
}

export interface VaultKey extends VaultAddress {
  readonly recoveryFile?: string;
  /** Id of the key object to open. */
  readonly key?: string;
}

/** A person is waiting: a store that does not answer is given up after this time. */
const PATIENCE_MS = 2 * 60_000;

/**
 * Attempts of the client below the layer that repeats for two minutes: each takes a minute when a
 * server is silent.
 */
const ATTEMPTS = 2;

export async function openStore(
  cli: Cli,
  place: VaultAddress,
  spending = new Spending(),
): Promise<ObjectStore> {
  const { region, profile, singleWriter, firstVersion } = place;
  const vault = locationOf(cli, place.vault);
  // The endpoint in the settings may belong to another vault.
  const endpoint = vault.startsWith('s3://') ? place.endpoint : undefined;
  let said = false;
  const store = await openObjectStore(
    vault,
    {
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      ...(profile === undefined ? {} : { profile }),
      allowNetworkFileSystem: singleWriter === true,
      attempts: ATTEMPTS,
      meter: (store) => spending.meter(store, endpoint),
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
  return firstVersion === true ? new FirstVersionStore(store) : store;
}

/** Fails within seconds if there is no store at the place. Call it before making a vault there. */
export async function contactPlace(cli: Cli, place: VaultAddress): Promise<void> {
  const { endpoint, region, profile, singleWriter } = place;
  const options = {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    allowNetworkFileSystem: singleWriter === true,
  };
  await contactStore(locationOf(cli, place.vault), options, cli.signal);
}

/** Resolves a folder from the user's working folder. */
function locationOf(cli: Cli, vault: string): string {
  return vault.includes('://') ? vault : resolve(cli.environment.workingFolder, vault);
}

export function openOptions(cli: Cli): OpenOptions {
  const { cacheFolder, terminal, clock } = cli.environment;
  return {
    cacheFolder: join(cacheFolder, 'vaults'),
    log: new TerminalLog(terminal.errors),
    clock,
    reader: { service: passingServiceId(), name: hostname() },
  };
}

/**
 * Keeps points from being given up while a command reads them. Where it must not write, it reads
 * all the same and says so.
 */
export async function leased(
  cli: Cli,
  vault: Vault,
  points: readonly RecoveryPoint[],
  purpose: string,
): Promise<HeldLease> {
  const without = ({ message }: Fault): void => {
    cli.say(
      `Others cannot see that this is being read, because no lease could be written (${message}). Give nothing up meanwhile.`,
    );
  };
  const mayBeRetired = points.length > 1;
  const options = { purpose, without, mayBeRetired };
  return await HeldLease.take(vault.inside, points, options, cli.signal);
}

/**
 * Opens the vault with its passphrase or its recovery file, which is all that it needs, runs `work`
 * on it, and closes it.
 */
export async function withVault<Result>(
  cli: Cli,
  key: VaultKey,
  work: (vault: Vault, spending: Spending) => Promise<Result>,
): Promise<Result> {
  const spending = await openSpending(cli, key);
  const unlocked = await unlock(cli, key);
  await using resources = new AsyncDisposableStack();
  const store = resources.adopt(await openStore(cli, key, spending), (opened) => opened.close());
  const vault = resources.adopt(
    await openVault(cli, store, unlocked, key.firstVersion === true),
    (opened) => opened.close(),
  );
  return await work(vault, spending);
}

/**
 * Opens the vault, with its retention key too if the settings have the passphrase of a separate
 * one.
 */
async function openVault(
  cli: Cli,
  store: ObjectStore,
  unlocked: VaultUnlock,
  isPast: boolean,
): Promise<Vault> {
  const passphrase = await cli.environment.readPassphrase('retention');
  const retention = passphrase === undefined ? undefined : { kind: 'passphrase', passphrase };
  const vault = await Vault.open(
    store,
    unlocked,
    { ...openOptions(cli), ...(retention && { retention: retention as VaultUnlock }) },
    cli.signal,
  );
  // The first versions are what it was before.
  await (isPast ? undefined : refuseDestroyed(vault.inside.base, vault.inside.log, cli.signal));
  return vault;
}

export async function unlock(cli: Cli, { recoveryFile, key }: VaultKey): Promise<VaultUnlock> {
  return recoveryFile === undefined
    ? {
        kind: 'passphrase',
        passphrase: await existingPassphrase(cli.environment, cli.signal),
        keyId: key,
      }
    : {
        kind: 'recovery-file',
        content: await readRecoveryFile(
          resolve(cli.environment.workingFolder, recoveryFile),
          (sentence) => {
            cli.say(sentence);
          },
        ),
      };
}
