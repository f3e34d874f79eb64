import { isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { decodeSlotSet } from '../points/excluded-slots.ts';
import { numberOf, PREFIXES } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { Ulid } from '../bytes/ulid.ts';

/** One object under `bad/`, and the slots of it that were healed. */
export interface DamageList {
  readonly key: ObjectKey;
  readonly slots: SlotSet;
  readonly healed: SlotSet;
}

/** Slots that were found damaged and not yet healed by rewriting their pack. */
export class DamagedSlots {
  readonly #base: VaultBase;
  readonly #log: Log;
  readonly #lists = new Map<ObjectKey, DamageList>();
  readonly #done = new Set<ObjectKey>();

  constructor(base: VaultBase, log: Log) {
    this.#base = base;
    this.#log = log;
  }

  get lists(): Iterable<DamageList> {
    return this.#lists.values();
  }

  get isEmpty(): boolean {
    return this.#lists.size === 0;
  }

  /** Reads what is new under `bad/`. */
  async read(signal: AbortSignal): Promise<void> {
    const keys: ObjectKey[] = [];
    for await (const { key } of this.#base.store.list(PREFIXES.damaged, signal)) {
      keys.push(key);
    }
    for (const key of keys) {
      if (numberOf(key) !== undefined && !this.#lists.has(key)) {
        const slots = await this.#get('bad', key, signal);
        this.#lists.set(key, { key, slots, healed: new SlotSet() });
      }
    }
    for (const key of keys) {
      const list = this.#lists.get(key.split('.', 1)[0] ?? '');
      if (key.endsWith('.done') && list !== undefined && !this.#done.has(key)) {
        list.healed.addAll(await this.#get('done', key, signal));
        this.#done.add(key);
      }
    }
  }

  has(ulid: Ulid, slot: number): boolean {
    for (const { slots, healed } of this.#lists.values()) {
      if (slots.has(ulid, slot) && !healed.has(ulid, slot)) {
        return true;
      }
    }
    return false;
  }

  /** Whether no slot of the pack can be read. */
  hasAll(ulid: Ulid): boolean {
    return [...this.#lists.values()].some(
      ({ slots, healed }) => slots.hasAll(ulid) && !healed.touches(ulid),
    );
  }

  /** Whether any slot of the pack is damaged. */
  touches(ulid: Ulid): boolean {
    for (const { slots, healed } of this.#lists.values()) {
      if (slots.touches(ulid) && !healed.hasAll(ulid)) {
        return true;
      }
    }
    return false;
  }

  /** Reads a list. One that does not verify protects nothing, and is skipped. */
  async #get(kind: 'bad' | 'done', key: ObjectKey, signal: AbortSignal): Promise<SlotSet> {
    try {
      const object = await this.#base.store.get(key, signal);
      if (object === undefined) {
        return new SlotSet();
      }
      return decodeSlotSet(this.#base, kind, key, object);
    } catch (error) {
      if (!isFault(error, 'vault.control-corrupt')) {
        throw error;
      }
      this.#log.warn('vault.damage-list-ignored', { key });
      return new SlotSet();
    }
  }
}
