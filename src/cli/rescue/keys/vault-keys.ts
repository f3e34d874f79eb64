import { resolve } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';
import { generatePassphrase } from '../../../kernel/text/generated-passphrase.ts';
import { readSecretFile } from '../../../kernel/files/secret-file.ts';
import type { NewPassphrase } from '../../../vault/access/key-refusals.ts';
import { type KeyEntry, VaultKeys } from '../../../vault/access/vault-keys.ts';
import type { Unlocks } from '../../../vault/access/unlock.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { generatedAdvice, newPassphrase, retentionPassphrase } from '../../options/passphrase.ts';
import {
  recoveryAdvice,
  recoveryFilePath,
  RecoveryFilePlace,
} from '../../options/recovery-file.ts';
import { formatTable } from '../../terminal/table.ts';
import { openStore, unlock, type VaultKey } from '../vault-access.ts';

export interface KeysOptions extends VaultKey {
  readonly label?: string;
  readonly retention?: boolean;
  readonly generatePassphrase?: boolean;
  readonly newRecoveryFile?: string;
  readonly keep?: readonly string[];
  readonly yes?: boolean;
}

const REVOKES_NOTHING =
  'Whoever opened the vault with it before may have kept the master key, which this does not take back; "keys rotate" protects what is stored from then on.';

/** Runs `work` on the keys of the vault. */
async function withKeys(
  cli: Cli,
  options: KeysOptions,
  needsRetention: boolean,
  work: (keys: VaultKeys) => Promise<Outcome>,
): Promise<Outcome> {
  const unlocked = await unlock(cli, options);
  await using resources = new AsyncDisposableStack();
  const store = resources.adopt(await openStore(cli, options), (opened) => opened.close());
  const { clock } = cli.environment;
  const open = async (unlocks: Unlocks): Promise<VaultKeys> =>
    await VaultKeys.open(store, unlocks, { clock }, cli.signal);
  let keys = await open({ vault: unlocked });
  if (needsRetention && keys.format.retention.separate && unlocked.kind === 'passphrase') {
    const passphrase = await retentionPassphrase(cli.environment, cli.signal);
    if (passphrase !== undefined) {
      keys = await open({ vault: unlocked, retention: { kind: 'passphrase', passphrase } });
    }
  }
  return await work(keys);
}

export async function listKeys(cli: Cli, options: KeysOptions): Promise<Outcome> {
  return await withKeys(cli, options, false, async (keys) => {
    const entries = await keys.list(cli.signal);
    const { keyVersion, retention } = keys.format;
    const rows = entries.map((entry) => [
      entry.id,
      entry.purpose === 'retention' ? `retention ${entry.kind}` : entry.kind,
      entry.label,
      entry.createdAtMs === 0 ? '' : cli.time(entry.createdAtMs),
      entry.isOpener ? 'opened the vault now' : '',
    ]);
    const table = formatTable(
      [
        { title: 'KEY' },
        { title: 'OPENED BY' },
        { title: 'LABEL' },
        { title: 'MADE' },
        { title: '' },
      ],
      rows,
    );
    return {
      document: { keys: entries, keyVersion, separateRetentionKey: retention.separate },
      text: `${table}Key version ${String(keyVersion)}; ${retention.separate ? 'separate' : 'no separate'} retention key.\n`,
    };
  });
}

export async function addKey(cli: Cli, options: KeysOptions): Promise<Outcome> {
  const purpose = options.retention === true ? 'retention' : 'vault';
  return await withKeys(cli, options, options.retention === true, async (keys) => {
    const passphrase = await freshPassphrase(cli, options);
    const key = await keys.addPassphrase(
      { passphrase, label: options.label ?? '' },
      purpose,
      cli.signal,
    );
    return { document: { key }, text: 'The new passphrase was tested and opens the vault.\n' };
  });
}

export async function changeKey(cli: Cli, options: KeysOptions): Promise<Outcome> {
  return await withKeys(cli, options, false, async (keys) => {
    await keys.changePassphrase(await freshPassphrase(cli, options), cli.signal);
    return {
      document: { changed: true },
      text: `The passphrase was changed; the new one was tested. ${REVOKES_NOTHING}\n`,
    };
  });
}

export async function removeKey(cli: Cli, id: string, options: KeysOptions): Promise<Outcome> {
  return await withKeys(cli, options, false, async (keys) => {
    await cli.confirm(`Remove the key ${id}? It opens the vault no more.`, options);
    const removed = await keys.remove(id, cli.signal);
    return {
      document: { removed },
      text: `The key ${removed.id} was removed. ${REVOKES_NOTHING}\n`,
    };
  });
}

export async function replaceRecoveryFile(cli: Cli, options: KeysOptions): Promise<Outcome> {
  return await withKeys(cli, options, true, async (keys) => {
    await using place = await reserve(cli, keys, options);
    await keys.newRecoveryFile(async (content) => await place.write(content), cli.signal);
    cli.sayLines(recoveryAdvice(place.path));
    return {
      document: { recoveryFile: place.path },
      text: `New recovery file written and tested; older ones open the vault no more. ${REVOKES_NOTHING}\n`,
    };
  });
}

export async function rotateKeys(cli: Cli, options: KeysOptions): Promise<Outcome> {
  return await withKeys(cli, options, true, async (keys) => {
    const entries = await keys.list(cli.signal);
    const passphrases = await passphrasesToKeep(cli, options, entries);
    const before = entries.filter(({ purpose }) => purpose === 'vault').length;
    await cli.confirm(
      `Rotate the keys? ${String(passphrases.length)} passphrases and a new recovery file open the vault then; the ${String(before)} keys of now do not.`,
      options,
    );
    await using place = await reserve(cli, keys, options);
    await keys.rotate(passphrases, async (content) => await place.write(content), cli.signal);
    cli.sayLines(recoveryAdvice(place.path));
    const { keyVersion } = keys.format;
    return {
      document: { keyVersion, recoveryFile: place.path },
      text: `What is stored from now on has key version ${String(keyVersion)}. Who has an older key can still read what was stored before. Services that know this vault need it forgotten and added again.\n`,
    };
  });
}

export async function separateRetention(cli: Cli, options: KeysOptions): Promise<Outcome> {
  return await withKeys(cli, options, true, async (keys) => {
    const chosen =
      options.generatePassphrase === true
        ? undefined
        : await newPassphrase(cli.environment, cli.signal, 'retention');
    const passphrase = chosen ?? generatePassphrase();
    await cli.confirm(
      'Make a new retention key? The one of now retires nothing any more, and the recovery file is replaced. No prune may run meanwhile.',
      options,
    );
    await using place = await reserve(cli, keys, options);
    if (chosen === undefined) {
      cli.sayLines(generatedAdvice(passphrase, 'Passphrase of the retention key'));
    }
    await keys.separateRetention(
      { passphrase, label: options.label ?? '' },
      async (content) => await place.write(content),
      cli.signal,
    );
    cli.sayLines(recoveryAdvice(place.path));
    return {
      document: { recoveryFile: place.path },
      text: 'Recovery points can be given up only with the new retention key. Its passphrase and the recovery file were tested.\n',
    };
  });
}

async function freshPassphrase(cli: Cli, options: KeysOptions): Promise<string> {
  const chosen =
    options.generatePassphrase === true
      ? undefined
      : await newPassphrase(cli.environment, cli.signal, 'new');
  const passphrase = chosen ?? generatePassphrase();
  if (chosen === undefined) {
    cli.sayLines(generatedAdvice(passphrase, 'New passphrase'));
  }
  return passphrase;
}

/**
 * Returns a new passphrase if the settings have one, else the one that opened the vault; and those
 * in files.
 */
async function passphrasesToKeep(
  cli: Cli,
  options: KeysOptions,
  entries: readonly KeyEntry[],
): Promise<NewPassphrase[]> {
  const { environment } = cli;
  const label = entries.find(({ isOpener }) => isOpener)?.label ?? '';
  const given = await environment.readPassphrase('new');
  const unlocked = await unlock(cli, options);
  const first =
    given ??
    (unlocked.kind === 'passphrase' ? unlocked.passphrase : await freshPassphrase(cli, options));
  const kept: NewPassphrase[] = [{ passphrase: first, label: options.label ?? label }];
  for (const file of options.keep ?? []) {
    const path = resolve(environment.workingFolder, file);
    const passphrase = readSecretFile(path, '--keep');
    kept.push({ passphrase, label: file.replace(/^.*\//, '').slice(0, 64) });
  }
  return kept;
}

async function reserve(
  cli: Cli,
  { format }: VaultKeys,
  { newRecoveryFile, vault }: KeysOptions,
): Promise<RecoveryFilePlace> {
  const day = new Date(cli.environment.clock.nowMs()).toISOString().slice(0, 10);
  if (!/^[\w .-]+$/.test(format.name) && newRecoveryFile === undefined) {
    throw new Fault('request.invalid', 'Say where the recovery file goes: --new-recovery-file.');
  }
  return await RecoveryFilePlace.reserve(
    recoveryFilePath(
      { name: `${format.name}-${day}`, location: vault },
      newRecoveryFile,
      cli.environment.workingFolder,
    ),
    '--new-recovery-file',
  );
}
