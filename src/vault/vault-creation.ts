import { randomBytes } from 'node:crypto';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { chunkIdFunction } from './chunk-id.ts';
import { FORMAT_VERSION } from './control-object.ts';
import { encodeFormat, NO_FEATURES, type VaultFormat } from './format-object.ts';
import { KDF_DEFAULT } from './key-object.ts';
import { KEY_BYTES, KeyTree, sameBytes } from './key-tree.ts';
import { KeyWriter } from './keys/key-writer.ts';
import { numberedKey, PREFIXES } from './layout.ts';
import type { ObjectStore } from './object-store.ts';
import { newRecoveryFile, refuseWeakPassphrase } from './recovery-file.ts';
import { RetentionKey, SEED_BYTES } from './retention-key.ts';
import { unlockVault } from './unlock.ts';
import type { CreateOptions, VaultParameters } from './vault-options.ts';

const DEFAULTS: VaultParameters = {
  minSectors: 2,
  maxSectors: 32,
  cutBits: 3,
  packBytes: 64 * 1024 * 1024,
  chunkId: 'blake3',
  kdf: KDF_DEFAULT,
};
export const RECOVERY_LABEL = 'recovery file';
const NAME = /^[^\p{Cc}]{1,128}$/u;

/**
 * Writes the format and the keys of a new vault and opens it again with the passphrase and with the
 * recovery file. The format comes last: before it there is no vault.
 * @returns the master key, the seed of a separate retention key, and the recovery file's text
 */
export async function createVault(
  store: ObjectStore,
  options: CreateOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ keyring: Uint8Array; seed?: Uint8Array; recoveryFile: string }> {
  refuseWeakPassphrase(options.passphrase);
  if (!NAME.test(options.name)) {
    throw new Fault('request.invalid', 'A vault needs a name of 1 to 128 printable characters.');
  }
  await refuseNonEmpty(store, signal);
  const parameters = { ...DEFAULTS, ...options.parameters };
  // Fails here rather than at the first backup if the add-on does not load.
  chunkIdFunction(parameters.chunkId, randomBytes(KEY_BYTES));
  const { keys, seed } = newKeys(options);
  const { vaultId } = keys;
  const nowMs = clock.nowMs();
  const recovery = newRecoveryFile(vaultId.toString('hex'), options.name);
  const byRecovery = { kind: 'recovery-file', content: recovery.content } as const;
  const byPassphrase = { kind: 'passphrase', passphrase: options.passphrase } as const;
  const writer = new KeyWriter(store, parameters.kdf);
  const wrapping = { vaultId, createdAtMs: nowMs, purpose: 'vault', secret: keys.keyring } as const;
  await writer.put({ ...wrapping, label: '' }, byPassphrase, signal);
  await writer.put({ ...wrapping, label: RECOVERY_LABEL }, byRecovery, signal);
  if (seed !== undefined && options.retentionPassphrase !== undefined) {
    const passphrase = options.retentionPassphrase;
    const unlock = { kind: 'passphrase', passphrase } as const;
    const ofRetention = { ...wrapping, purpose: 'retention', secret: seed } as const;
    await writer.put({ ...ofRetention, label: '' }, unlock, signal);
    await writer.put({ ...ofRetention, label: RECOVERY_LABEL }, byRecovery, signal);
  }
  const formatKey = numberedKey(PREFIXES.format, 1);
  const format = newFormat(options, parameters, { keys, nowMs });
  await store.put(formatKey, encodeFormat(keys, formatKey, format), signal);

  for (const unlock of [byPassphrase, byRecovery]) {
    const opened = await unlockVault(store, { vault: unlock }, signal);
    if (!sameBytes(opened.keys.keyring, keys.keyring)) {
      throw new Fault(
        'vault.key-corrupt',
        'The new vault did not open as it was written. Check the store, then create it again elsewhere.',
      );
    }
  }
  const result = { keyring: keys.keyring, recoveryFile: recovery.content };
  return seed === undefined ? result : { ...result, seed };
}

/** A random master key, and a seed if the vault gets a retention key of its own. */
function newKeys({ retentionPassphrase, passphrase }: CreateOptions): {
  keys: KeyTree;
  seed: Buffer | undefined;
} {
  const master = randomBytes(KEY_BYTES);
  const vaultId = randomBytes(16);
  if (retentionPassphrase === undefined) {
    return { keys: new KeyTree(master, vaultId), seed: undefined };
  }
  refuseWeakPassphrase(retentionPassphrase);
  if (retentionPassphrase === passphrase) {
    throw new Fault(
      'vault.weak-passphrase',
      'The retention key needs a passphrase of its own: it is meant for people and machines that do not back up.',
    );
  }
  const seed = randomBytes(SEED_BYTES);
  return { keys: new KeyTree(master, vaultId, { retention: RetentionKey.ofSeed(seed) }), seed };
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
    retention: {
      separate: options.retentionPassphrase !== undefined,
      publicKey: made.keys.retention.publicKey.toString('hex'),
      earlier: [],
    },
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
