import { randomBytes } from 'node:crypto';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { chunkIdFunction } from './chunk-id.ts';
import { FORMAT_VERSION } from './control-object.ts';
import { encodeFormat, NO_FEATURES, type VaultFormat } from './format-object.ts';
import { KDF_DEFAULT, wrapWithPassphrase, wrapWithRecovery } from './key-object.ts';
import { KEY_BYTES, KeyTree } from './key-tree.ts';
import { numberedKey, PREFIXES } from './layout.ts';
import type { ObjectStore } from './object-store.ts';
import { newRecoveryFile, refuseWeakPassphrase } from './recovery-file.ts';
import { unlockVault } from './unlock.ts';
import type { CreateOptions, VaultParameters } from './vault-options.ts';
import { sameBytes } from './key-tree.ts';

const DEFAULTS: VaultParameters = {
  minSectors: 2,
  maxSectors: 32,
  cutBits: 3,
  packBytes: 64 * 1024 * 1024,
  chunkId: 'blake3',
  kdf: KDF_DEFAULT,
};
const NAME = /^[^\p{Cc}]{1,128}$/u;

/**
 * Writes the format and the keys of a new vault and opens it again with the passphrase and with the
 * recovery file. The format comes last: before it there is no vault.
 * @returns the master key and the recovery file's text
 */
export async function createVault(
  store: ObjectStore,
  options: CreateOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ master: Uint8Array; recoveryFile: string }> {
  refuseWeakPassphrase(options.passphrase);
  if (!NAME.test(options.name)) {
    throw new Fault('request.invalid', 'A vault needs a name of 1 to 128 printable characters.');
  }
  await refuseNonEmpty(store, signal);
  const parameters = { ...DEFAULTS, ...options.parameters };
  // Fails here rather than at the first backup if the add-on does not load.
  chunkIdFunction(parameters.chunkId, randomBytes(KEY_BYTES));
  const master = randomBytes(KEY_BYTES);
  const vaultId = randomBytes(16);
  const keys = new KeyTree(master, vaultId);
  const recovery = newRecoveryFile(vaultId.toString('hex'), options.name);

  const passphraseKey = numberedKey(PREFIXES.keys, 1);
  const wrapping = { key: passphraseKey, vaultId, keyring: master };
  const byPassphrase = await wrapWithPassphrase(wrapping, options.passphrase, parameters.kdf);
  await store.put(passphraseKey, byPassphrase, signal);
  const recoveryKey = numberedKey(PREFIXES.keys, 2);
  await store.put(
    recoveryKey,
    wrapWithRecovery({ ...wrapping, key: recoveryKey }, recovery.secret),
    signal,
  );
  const formatKey = numberedKey(PREFIXES.format, 1);
  const format = newFormat(options, parameters, { keys, nowMs: clock.nowMs() });
  await store.put(formatKey, encodeFormat(keys, formatKey, format), signal);

  const unlocks = [
    { kind: 'passphrase', passphrase: options.passphrase },
    { kind: 'recovery-file', content: recovery.content },
  ] as const;
  for (const unlock of unlocks) {
    const opened = await unlockVault(store, unlock, signal);
    if (!sameBytes(opened.keys.keyring, master)) {
      throw new Fault(
        'vault.key-corrupt',
        'The new vault did not open as it was written. Check the store, then create it again elsewhere.',
      );
    }
  }
  return { master, recoveryFile: recovery.content };
}

function newFormat(
  options: CreateOptions,
  { minSectors, maxSectors, cutBits, packBytes, chunkId }: VaultParameters,
  made: { keys: KeyTree; nowMs: number },
): VaultFormat {
  return {
    version: FORMAT_VERSION,
    features: NO_FEATURES,
    vaultId: made.keys.vaultId.toString('hex'),
    name: options.name,
    createdAtMs: made.nowMs,
    singleWriter: options.singleWriter ?? false,
    cipher: 'aes-256-gcm',
    compression: 'zstd',
    chunkId,
    dedupDomain: randomBytes(16).toString('hex'),
    chunker: { minSectors, maxSectors, cutBits },
    keyVersion: made.keys.version,
    retention: { publicKey: made.keys.retention.publicKey.toString('hex'), earlier: [] },
    packBytes,
  };
}

async function refuseNonEmpty(store: ObjectStore, signal: AbortSignal): Promise<void> {
  for await (const { key } of store.list('', signal)) {
    throw new Fault(
      'vault.not-empty',
      `${store.location} is not empty (there is ${key}). Choose an empty folder or prefix for a new vault.`,
      { location: store.location },
    );
  }
}
