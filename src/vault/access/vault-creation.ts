import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { chunkIdFunction } from '../chunks/chunk-id.ts';
import { encodeFormat, NO_FEATURES, type VaultFormat } from '../control/format-object.ts';
import { FORMAT_VERSION } from '../format/format-version.ts';
import { KDF_DEFAULT } from '../keys/key-object.ts';
import { KEY_BYTES, KeyTree, sameBytes } from '../keys/key-tree.ts';
import { KeyWriter, RECOVERY_LABEL } from './key-writer.ts';
import { locking } from '../store/locking-store.ts';
import { LOCK_DAYS_MAX } from '../format/limits.ts';
import { numberedKey, PREFIXES } from '../format/object-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { refuseUnfit, type Capabilities } from '../probe/capabilities.ts';
import { putCapabilities } from '../probe/probe-object.ts';
import { probeStore } from '../probe/store-probe.ts';
import { newRecoveryFile, refuseWeakPassphrase } from '../keys/recovery-file.ts';
import { RetentionKey, SEED_BYTES } from '../keys/retention-key.ts';
import { CreationAttempt } from './creation-attempt.ts';
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
const NAME = /^[^\p{Cc}]{1,128}$/u;

export interface CreatedVault {
  readonly keyring: Uint8Array;
  /** Seed of a separate retention key. */
  readonly seed?: Uint8Array;
  readonly recoveryFile: string;
  readonly capabilities?: Capabilities;
}

/**
 * Writes the format and the keys of a new vault, and opens it again with the passphrase and with
 * the recovery file. The format comes last: until then there is no vault. Of several creations at
 * one place at most one succeeds; each of the others removes what it wrote.
 * @throws Fault `vault.created-twice`, and whatever the given parts throw
 */
export async function createVault(
  plainStore: ObjectStore,
  options: CreateOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<CreatedVault> {
  refuseInvalid(options);
  await refuseNonEmpty(plainStore, signal);
  await plainStore.makePlace(signal);
  const capabilities = await probed(plainStore, options, clock, signal);
  const store = locking(plainStore, options.lock, clock);
  const attempt = new CreationAttempt(store);
  const parameters = { ...DEFAULTS, ...options.parameters };
  // If the add-on does not load, fails here and not at the first backup.
  chunkIdFunction(parameters.chunkId, randomBytes(KEY_BYTES));
  const { keys, seed } = newKeys(options);
  const { vaultId } = keys;
  const nowMs = clock.nowMs();
  const recovery = newRecoveryFile(vaultId.toString('hex'), options.name);
  const byRecovery = { kind: 'recovery-file', content: recovery.content } as const;
  const byPassphrase = { kind: 'passphrase', passphrase: options.passphrase } as const;
  const writer = new KeyWriter(store, parameters.kdf, (key) => {
    attempt.note(key);
  });
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
  await attempt.yieldToEarlier(signal);
  const formatKey = numberedKey(PREFIXES.format, 1);
  const format = newFormat(options, parameters, { keys, nowMs });
  attempt.note(formatKey);
  await store.put(formatKey, encodeFormat(keys, formatKey, format), signal);
  await attempt.refuseSecond(signal);

  for (const unlock of [byPassphrase, byRecovery]) {
    const opened = await unlockVault(store, { vault: unlock }, signal);
    if (!sameBytes(opened.keys.keyring, keys.keyring)) {
      throw new Fault(
        'vault.key-corrupt',
        'The new vault did not open as it was written. Check the store, then create it again elsewhere.',
      );
    }
  }
  if (capabilities !== undefined) {
    await putCapabilities({ store, keys }, capabilities, signal);
  }
  return {
    keyring: keys.keyring,
    recoveryFile: recovery.content,
    ...(seed === undefined ? {} : { seed }),
    ...(capabilities === undefined ? {} : { capabilities }),
  };
}

function refuseInvalid({ passphrase, name, lock }: CreateOptions): void {
  refuseWeakPassphrase(passphrase);
  if (!NAME.test(name)) {
    throw new Fault('request.invalid', 'A vault needs a name of 1 to 128 printable characters.');
  }
  if (lock !== undefined && !(lock.days >= 1 && lock.days <= LOCK_DAYS_MAX)) {
    throw new Fault('request.invalid', `A lock lasts 1 to ${LOCK_DAYS_MAX} days.`);
  }
}

/** @throws Fault `vault.store-unfit` */
async function probed(
  store: ObjectStore,
  { probe, lock, parameters, singleWriter = false }: CreateOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<Capabilities | undefined> {
  assert(lock === undefined || probe !== undefined, 'locks are believed only when they were tried');
  if (probe === undefined) {
    return undefined;
  }
  const largeBytes = parameters?.packBytes ?? DEFAULTS.packBytes;
  const capabilities = await probeStore(store, { largeBytes, ...probe, clock }, signal);
  refuseUnfit(capabilities, { singleWriter, ...(lock && { lock: lock.mode }) });
  return capabilities;
}

/** Makes a random master key, and a seed if the vault gets a retention key of its own. */
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
    ...(options.lock === undefined ? {} : { lock: { ...options.lock } }),
  };
}

async function refuseNonEmpty(store: ObjectStore, signal: AbortSignal): Promise<void> {
  for await (const { key } of store.list('', signal)) {
    if (key.startsWith(PREFIXES.probes)) {
      // An interrupted trial of this place left it.
      continue;
    }
    throw new Fault(
      'vault.not-empty',
      `${store.location} is not empty (there is ${key}). Choose an empty folder or prefix for a new vault.`,
      { location: store.location },
    );
  }
}
