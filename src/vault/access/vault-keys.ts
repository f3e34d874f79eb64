import { randomBytes } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import type { VaultFormat } from '../control/format-object.ts';
import { KDF_DEFAULT, refuseLongLabel, type KeyPurpose, type KdfCost } from '../keys/key-object.ts';
import { KEY_BYTES, KeyTree } from '../keys/key-tree.ts';
import { locking } from '../store/locking-store.ts';
import { numberOf, PREFIXES } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { changeable } from '../control/read-only-store.ts';
import { newRecoveryFile, refuseWeakPassphrase } from '../keys/recovery-file.ts';
import { SEED_BYTES } from '../keys/retention-key.ts';
import { keyObjects, readKeyObject } from './key-search.ts';
import { unlockVault, type UnlockedVault, type Unlocks } from './unlock.ts';
import { changeFormat, keysChanged } from './format-change.ts';
import {
  refuseAnotherRetention,
  refuseRotation,
  retentionMissing,
  type NewPassphrase,
} from './key-refusals.ts';
import { findPassphrase, KeyWriter, RECOVERY_LABEL, type NewUnlock } from './key-writer.ts';

/** One object under `keys/`. */
export interface KeyEntry {
  /** Number and beginning of the random part, such as `000003-ab12cd34`. */
  readonly id: string;
  readonly key: ObjectKey;
  readonly kind: 'passphrase' | 'recovery' | 'damaged';
  readonly purpose: KeyPurpose;
  readonly label: string;
  readonly createdAtMs: number;
  /** Whether this object opened the vault just now. */
  readonly isOpener: boolean;
}

/** Stores a recovery file durably, and returns what can be read there afterwards. */
export type KeepRecoveryFile = (content: string) => Promise<string>;

interface KeysOptions {
  readonly clock: Clock;
  readonly log?: Log;
  readonly kdf?: KdfCost;
}

/**
 * Changes who can open a vault. If it is killed, the vault opens with what opened it before or with
 * what was made: a new key object is read back and opened before an old one goes, and one recovery
 * object always stays. Removing a key does not take the master key away from those who have it.
 */
export class VaultKeys {
  readonly #store: ObjectStore;
  readonly #options: KeysOptions;
  #unlocked: UnlockedVault;
  /** Key objects that the current operation made. */
  #made: ObjectKey[] = [];

  private constructor(store: ObjectStore, options: KeysOptions, unlocked: UnlockedVault) {
    this.#store = store;
    this.#options = options;
    this.#unlocked = unlocked;
  }

  /** @throws Fault as `unlockVault` */
  static async open(
    store: ObjectStore,
    unlocks: Unlocks,
    options: KeysOptions,
    signal: AbortSignal,
  ): Promise<VaultKeys> {
    const unlocked = await unlockVault(store, unlocks, signal);
    const { format } = unlocked;
    const locked = locking(store, format.lock, options.clock);
    return new VaultKeys(changeable(locked, format), options, unlocked);
  }

  get format(): VaultFormat {
    return this.#unlocked.format;
  }

  async list(signal: AbortSignal): Promise<KeyEntry[]> {
    const entries: KeyEntry[] = [];
    for (const key of (await keyObjects(this.#store, signal)).reverse()) {
      const object = await readKeyObject(this.#store, key, signal);
      if (object === undefined) {
        continue;
      }
      const known = isFault(object)
        ? { kind: 'damaged' as const, purpose: 'vault' as const, label: '', createdAtMs: 0 }
        : object;
      const { kind, purpose, label, createdAtMs } = known;
      const isOpener = key === this.#unlocked.openedBy;
      entries.push({ id: keyId(key), key, kind, purpose, label, createdAtMs, isOpener });
    }
    return entries;
  }

  /**
   * Adds a passphrase. Keeps an equal one that is there under this label, so that repeating an
   * interrupted call makes no second one.
   * @throws Fault `vault.weak-passphrase`
   */
  async addPassphrase(
    { passphrase, label }: NewPassphrase,
    purpose: KeyPurpose,
    signal: AbortSignal,
  ): Promise<ObjectKey> {
    refuseWeakPassphrase(passphrase);
    refuseLongLabel(label);
    const secret = purpose === 'vault' ? this.#unlocked.keys.keyring : this.#seed();
    return this.#putOnce(passphrase, { purpose, label, secret }, signal);
  }

  /**
   * Replaces the passphrase that opened the vault.
   * @throws Fault `vault.weak-passphrase`, `request.invalid` if something else opened it
   */
  async changePassphrase(passphrase: string, signal: AbortSignal): Promise<void> {
    const opener = (await this.list(signal)).find(({ isOpener }) => isOpener);
    if (opener?.kind !== 'passphrase') {
      throw new Fault(
        'request.invalid',
        'Open the vault with the passphrase that is to be changed; or add a new one and remove the old one.',
      );
    }
    refuseWeakPassphrase(passphrase);
    const { label } = opener;
    const wrapped = { purpose: 'vault', label, secret: this.#unlocked.keys.keyring } as const;
    await this.#putOnce(passphrase, { ...wrapped, besides: opener.key }, signal);
    await this.#store.remove(opener.key, signal);
  }

  /**
   * Removes a passphrase by its id or the beginning of it.
   * @throws Fault `vault.key-not-found`; `vault.key-in-use` for the key that opened the vault, and
   *   for recovery files, which only `newRecoveryFile` replaces
   */
  async remove(idOrPrefix: string, signal: AbortSignal): Promise<KeyEntry> {
    const entries = await this.list(signal);
    const found = entries.filter(
      ({ id, key }) => id.startsWith(idOrPrefix) || numberOf(key) === Number(idOrPrefix || NaN),
    );
    const [entry, another] = found;
    if (entry === undefined || another !== undefined) {
      throw new Fault(
        'vault.key-not-found',
        `${entry === undefined ? 'No key of this vault has' : 'Several keys have'} the id ${idOrPrefix.slice(0, 64)}. List them to see the ids.`,
      );
    }
    const lasts =
      entry.purpose === 'retention' &&
      entries.filter(({ purpose }) => purpose === 'retention').length === 1;
    if (entry.isOpener || entry.kind === 'recovery' || lasts) {
      throw new Fault(
        'vault.key-in-use',
        entry.isOpener
          ? 'This key opened the vault just now. Open it with another one to remove it.'
          : 'A vault keeps its recovery file and its last retention key. Make a new recovery file: the old one goes with that.',
        { key: entry.key },
      );
    }
    await this.#store.remove(entry.key, signal);
    return entry;
  }

  /**
   * Makes a new recovery file; the old ones open nothing any more.
   * @param keep must return only when the file is durable: the old ones go after that
   * @throws Fault `vault.retention-key-missing` in a vault whose separate retention key was not
   *   opened
   */
  async newRecoveryFile(keep: KeepRecoveryFile, signal: AbortSignal): Promise<void> {
    this.#requireSeed();
    const before = (await this.list(signal)).filter(({ kind }) => kind === 'recovery');
    const { keys, seed } = this.#unlocked;
    await this.#putRecovery(keep, { keyring: keys.keyring, seed }, signal);
    await this.#removeAll(
      before.map(({ key }) => key),
      signal,
    );
  }

  /**
   * Makes a new key version with a random master key, wraps it with all older ones under each
   * passphrase given, and removes every other key object. The old keys cannot read what is stored
   * from now on.
   * @throws Fault `vault.keys-changed` if somebody else changes keys at the same time
   */
  async rotate(
    passphrases: readonly NewPassphrase[],
    keep: KeepRecoveryFile,
    signal: AbortSignal,
  ): Promise<void> {
    this.#requireSeed();
    const { keys, format, seed } = this.#unlocked;
    refuseRotation(passphrases, keys, format);
    const keyring = Buffer.concat([keys.keyring, randomBytes(KEY_BYTES)]);
    const version = keyring.length / KEY_BYTES - 1;
    const before = await this.list(signal);
    this.#made = [];
    try {
      for (const { passphrase, label } of passphrases) {
        const unlock = { kind: 'passphrase', passphrase } as const;
        await this.#put(unlock, { purpose: 'vault', label, secret: keyring }, signal);
      }
      await this.#putRecovery(keep, { keyring, seed }, signal);
      await this.#refuseOthers(before, signal);
    } catch (error) {
      // Nothing relies on them yet: the format still names the version before.
      await this.#removeAll(this.#made, signal);
      throw error;
    }
    const derived = new KeyTree(keyring, keys.vaultId).retentionSeed(version);
    const next = {
      format: { ...format, keyVersion: version },
      keys: { keyring, seed: seed ?? derived },
    };
    this.#unlocked = await this.#changeFormat(next, signal);
    const old = before.filter(({ purpose, kind }) => purpose === 'vault' || kind === 'recovery');
    await this.#removeAll(
      old.map(({ key }) => key),
      signal,
    );
  }

  /**
   * Gives the vault a retention key of its own, opened by a new recovery file and by a passphrase
   * that machines which back up need not know. Points retired before stay retired.
   */
  async separateRetention(
    { passphrase, label }: NewPassphrase,
    keep: KeepRecoveryFile,
    signal: AbortSignal,
  ): Promise<void> {
    const { keys, format } = this.#unlocked;
    if (!keys.retention.canSign) {
      throw retentionMissing();
    }
    refuseWeakPassphrase(passphrase);
    refuseLongLabel(label);
    refuseAnotherRetention(format);
    const seed = randomBytes(SEED_BYTES);
    const before = await this.list(signal);
    const unlock = { kind: 'passphrase', passphrase } as const;
    await this.#put(unlock, { purpose: 'retention', label, secret: seed }, signal);
    await this.#putRecovery(keep, { keyring: keys.keyring, seed }, signal);
    const retention = { ...format.retention, separate: true };
    const next = { format: { ...format, retention }, keys: { keyring: keys.keyring, seed } };
    this.#unlocked = await this.#changeFormat(next, signal);
    const old = before.filter(
      ({ kind, purpose }) => kind === 'recovery' || purpose === 'retention',
    );
    await this.#removeAll(
      old.map(({ key }) => key),
      signal,
    );
  }

  /**
   * Writes the objects of a recovery file from what was kept of the file, and opens them with it.
   */
  async #putRecovery(
    keep: KeepRecoveryFile,
    { keyring, seed }: { keyring: Uint8Array; seed: Uint8Array | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    const { content } = newRecoveryFile(this.format.vaultId, this.format.name);
    const unlock = { kind: 'recovery-file', content: await keep(content) } as const;
    await this.#put(unlock, { purpose: 'vault', label: RECOVERY_LABEL, secret: keyring }, signal);
    if (seed !== undefined) {
      await this.#put(
        unlock,
        { purpose: 'retention', label: RECOVERY_LABEL, secret: seed },
        signal,
      );
    }
  }

  /**
   * @returns the key of an object that the passphrase opens: an old one, or a new one that was
   *   tested
   */
  async #putOnce(
    passphrase: string,
    {
      besides,
      ...what
    }: { purpose: KeyPurpose; label: string; secret: Uint8Array; besides?: ObjectKey },
    signal: AbortSignal,
  ): Promise<ObjectKey> {
    const unlock = { kind: 'passphrase', passphrase } as const;
    const known = await findPassphrase(this.#store, unlock, { ...what, besides }, signal);
    return known ?? this.#put(unlock, what, signal);
  }

  async #put(
    unlock: NewUnlock,
    what: { purpose: KeyPurpose; label: string; secret: Uint8Array },
    signal: AbortSignal,
  ): Promise<ObjectKey> {
    const { clock, kdf = KDF_DEFAULT } = this.#options;
    const writer = new KeyWriter(this.#store, kdf, (key) => this.#made.push(key));
    const { vaultId } = this.#unlocked.keys;
    const wrapping = { ...what, vaultId, createdAtMs: clock.nowMs() };
    return writer.put(wrapping, unlock, signal);
  }

  async #changeFormat(
    next: Parameters<typeof changeFormat>[2],
    signal: AbortSignal,
  ): Promise<UnlockedVault> {
    const { log } = this.#options;
    const place = { store: this.#store, ...(log === undefined ? {} : { log }) };
    return changeFormat(place, this.#unlocked, next, signal);
  }

  /**
   * Each rotation lists after its own puts returned, so of two at once at least one sees the other.
   * @throws Fault `vault.keys-changed`
   */
  async #refuseOthers(before: readonly KeyEntry[], signal: AbortSignal): Promise<void> {
    const expected = new Set([...before.map(({ key }) => key), ...this.#made]);
    const now = await keyObjects(this.#store, signal);
    if (now.length !== expected.size || now.some((key) => !expected.has(key))) {
      throw keysChanged();
    }
  }

  async #removeAll(keys: readonly ObjectKey[], signal: AbortSignal): Promise<void> {
    for (const key of keys) {
      await this.#store.remove(key, signal);
    }
  }

  #seed(): Uint8Array {
    const { seed } = this.#unlocked;
    if (seed === undefined) {
      throw retentionMissing();
    }
    return seed;
  }

  /** A recovery file opens everything: it cannot be made without the retention key. */
  #requireSeed(): void {
    if (this.format.retention.separate) {
      this.#seed();
    }
  }
}

function keyId(key: ObjectKey): string {
  return key.slice(PREFIXES.keys.length).replace(/(?<=-[0-9a-f]{8})[0-9a-f]+$/, '');
}
