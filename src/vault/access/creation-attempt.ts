import { Fault } from '../../kernel/fault.ts';
import { PREFIXES } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';

/**
 * Keeps track of what one creation of a vault has written, so that of two at one place not both
 * succeed. No store call is conditional, but each creation lists the place after it wrote its
 * format, so at least one sees the other. A creation that sees another format removes its own
 * objects, whichever came first.
 */
export class CreationAttempt {
  readonly #store: ObjectStore;
  readonly #own: ObjectKey[] = [];

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** @param key of an object that is about to be put */
  note(key: ObjectKey): void {
    this.#own.push(key);
  }

  /**
   * Call it before the format is written: the creation with the smallest key goes on, so that
   * usually one of two succeeds.
   * @throws Fault `vault.created-twice` if another creation is further, or goes first
   */
  async yieldToEarlier(signal: AbortSignal): Promise<void> {
    const [mine] = this.#own.toSorted();
    const [theirs] = (await this.#foreign(PREFIXES.keys, signal)).toSorted();
    const isFirst = mine !== undefined && (theirs === undefined || mine < theirs);
    if (!isFirst || (await this.#foreign(PREFIXES.format, signal)).length > 0) {
      await this.#giveUp(signal);
    }
  }

  /** @throws Fault `vault.created-twice` if there is another format besides this one */
  async refuseSecond(signal: AbortSignal): Promise<void> {
    if ((await this.#foreign(PREFIXES.format, signal)).length > 0) {
      await this.#giveUp(signal);
    }
  }

  async #foreign(prefix: string, signal: AbortSignal): Promise<ObjectKey[]> {
    const found: ObjectKey[] = [];
    for await (const { key } of this.#store.list(prefix, signal)) {
      if (!this.#own.includes(key)) {
        found.push(key);
      }
    }
    return found;
  }

  /** Removes the format first: keys without a format are no vault. */
  async #giveUp(signal: AbortSignal): Promise<never> {
    const { location } = this.#store;
    for (const key of this.#own.toReversed()) {
      await this.#store.remove(key, signal).catch((error: unknown) => {
        throw new Fault(
          'vault.created-twice',
          `Another vault is being made at ${location}, and ${key} of this one could not be removed. Remove it by hand: the other vault may not open before.`,
          { location, key },
          { cause: error },
        );
      });
    }
    throw new Fault(
      'vault.created-twice',
      `Another vault is being made at ${location}; nothing is left of this one.`,
      { location },
    );
  }
}
