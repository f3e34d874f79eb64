import { Fault } from '../../kernel/fault.ts';
import { claimedVault } from './format-object.ts';
import { PREFIXES } from '../format/object-names.ts';
import { newestNumbered } from '../format/numbered-objects.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';

interface Opened {
  readonly vaultId: Uint8Array;
  readonly name: string;
  /** The format object that was read when the vault was opened. */
  readonly formatKey: ObjectKey;
}

/**
 * The vault as it was opened, perhaps hours ago. Proves that the store still holds it: a mount may
 * have gone away, a bucket may have been emptied, another vault may have taken its place.
 */
export class OpenedVault {
  readonly #store: ObjectStore;
  readonly #opened: Opened;
  #isOutdated = false;

  constructor(store: ObjectStore, opened: Opened) {
    this.#store = store;
    this.#opened = opened;
  }

  /** True once anything else was found: the vault must be opened again. */
  get isOutdated(): boolean {
    return this.#isOutdated || this.#store.isOutdated();
  }

  /**
   * Call it before writing: proves that the vault is there, in the format that was opened. Costs
   * one LIST.
   * @throws Fault `vault.not-found`, `vault.format-changed`
   */
  async prove(signal: AbortSignal): Promise<void> {
    const newest = await newestNumbered(this.#store, PREFIXES.format, signal);
    if (newest === this.#opened.formatKey) {
      return;
    }
    await this.#requireVault(newest, signal);
    this.#isOutdated = true;
    throw new Fault(
      'vault.format-changed',
      `The format or the keys of the vault ${this.#opened.name} were changed since it was opened here. Nothing was written; repeat the command, which opens it anew.`,
      { location: this.#store.location },
    );
  }

  /**
   * Call it before what was written counts: proves that the vault is still there. Its keys may have
   * been rotated meanwhile; what was written with the old ones stays valid. Usually one GET.
   * @throws Fault `vault.not-found`
   */
  async proveAgain(signal: AbortSignal): Promise<void> {
    const { formatKey } = this.#opened;
    if (!(await this.#isOurs(formatKey, signal))) {
      await this.#requireVault(await newestNumbered(this.#store, PREFIXES.format, signal), signal);
    }
  }

  async #requireVault(formatKey: ObjectKey | undefined, signal: AbortSignal): Promise<void> {
    if (formatKey === undefined || !(await this.#isOurs(formatKey, signal))) {
      this.#isOutdated = true;
      throw this.#gone();
    }
  }

  /** Trusts what the object says in clear: whoever can write a vault's id can do worse. */
  async #isOurs(formatKey: ObjectKey, signal: AbortSignal): Promise<boolean> {
    const object = await this.#store.get(formatKey, signal);
    return (
      object !== undefined && claimedVault(formatKey, object).vaultId.equals(this.#opened.vaultId)
    );
  }

  #gone(): Fault {
    const { location } = this.#store;
    return new Fault(
      'vault.not-found',
      `The vault ${this.#opened.name} is not at ${location} any more, where it was opened: its mount went away, it was moved or emptied, or something else lies there now. No recovery point was made; see that the vault is at its place, then repeat.`,
      { location },
    );
  }
}
