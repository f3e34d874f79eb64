import { encodeControl } from '../control-object.ts';
import { decodeSlotSet, gone } from '../excluded-slots.ts';
import { numberedKey, numberOf, PREFIXES } from '../layout.ts';
import type { ObjectKey } from '../object-store.ts';
import type { VaultBase } from '../packs.ts';
import { SlotSet } from '../slot-set.ts';

const DONE = '.done';

/**
 * All that was ever condemned. What is in here may be removed once a G2 that began later found that
 * nothing needs it.
 */
export class CondemnedLists {
  readonly #base: VaultBase;
  readonly #seen = new Set<ObjectKey>();
  readonly #seenLater = new Set<ObjectKey>();
  readonly #later = new SlotSet();
  readonly slots = new SlotSet();
  /** Lists that nobody has carried out to the end. */
  readonly open = new Set<ObjectKey>();
  #last = 0;

  constructor(base: VaultBase) {
    this.#base = base;
  }

  /**
   * Reads what is new under `gc/`.
   * @throws Fault `vault.control-corrupt`
   */
  async read(signal: AbortSignal): Promise<void> {
    const keys = new Set<ObjectKey>();
    for await (const { key } of this.#base.store.list(PREFIXES.condemned, signal)) {
      keys.add(key);
    }
    for (const key of keys) {
      if (key.endsWith(DONE)) {
        this.open.delete(key.slice(0, -DONE.length));
      } else if (!this.#seen.has(key)) {
        await this.#readList(key, signal);
        if (!keys.has(`${key}${DONE}`)) {
          this.open.add(key);
        }
      }
    }
  }

  /**
   * What others condemned since: worth knowing before something is relied on, but it was not
   * condemned when G2 began and must not be removed by this collection.
   */
  async readLater(signal: AbortSignal): Promise<SlotSet> {
    for await (const { key } of this.#base.store.list(PREFIXES.condemned, signal)) {
      if (!key.endsWith(DONE) && !this.#seen.has(key) && !this.#seenLater.has(key)) {
        const object = await this.#base.store.get(key, signal);
        if (object === undefined) {
          throw gone(key);
        }
        this.#later.addAll(decodeSlotSet(this.#base, 'condemned', key, object));
        this.#seenLater.add(key);
      }
    }
    return this.#later;
  }

  /** G1. @returns the key of the list */
  async write(part: SlotSet, signal: AbortSignal): Promise<ObjectKey> {
    const key = numberedKey(PREFIXES.condemned, this.#last + 1);
    const object = encodeControl(this.#base.keys, 'condemned', key, part.encode());
    await this.#base.store.put(key, object, signal);
    this.#learn(key, part);
    this.open.add(key);
    return key;
  }

  /** G4. The same bytes whoever writes it: what was spared cannot be used again anyway. */
  async markDone(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const done = `${key}${DONE}`;
    const object = encodeControl(this.#base.keys, 'done', done, new SlotSet().encode());
    await this.#base.store.put(done, object, signal);
    this.open.delete(key);
  }

  async #readList(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const object = await this.#base.store.get(key, signal);
    if (object === undefined) {
      throw gone(key);
    }
    this.#learn(key, decodeSlotSet(this.#base, 'condemned', key, object));
  }

  #learn(key: ObjectKey, slots: SlotSet): void {
    this.slots.addAll(slots);
    this.#seen.add(key);
    this.#last = Math.max(this.#last, numberOf(key) ?? 0);
  }
}
