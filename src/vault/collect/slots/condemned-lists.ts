import { encodeControl } from '../../control/control-object.ts';
import { decodeSlotSet, gone } from '../../points/excluded-slots.ts';
import { numberedKey, numberOf, PREFIXES } from '../../format/object-names.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import type { VaultBase } from '../../packs/vault-base.ts';
import { SlotSet } from '../../slots/slot-set.ts';

const DONE = '.done';

/**
 * All slots that were ever condemned. A collection may remove one of them if its G2 began later and
 * found that nothing needs it.
 */
export class CondemnedLists {
  readonly #base: VaultBase;
  readonly #seen = new Set<ObjectKey>();
  readonly #seenLater = new Set<ObjectKey>();
  readonly #later = new SlotSet();
  readonly slots = new SlotSet();
  /** Lists that nobody has carried out to the end yet (G4.b). */
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
   * Returns what others condemned since `read`. Check it before relying on a slot; but it was not
   * condemned when G2 began, so this collection must not remove it.
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

  /** Does G1.a for these slots. @returns the key of the list */
  async write(part: SlotSet, signal: AbortSignal): Promise<ObjectKey> {
    const key = numberedKey(PREFIXES.condemned, this.#last + 1);
    const object = encodeControl(this.#base.keys, 'condemned', key, part.encode());
    await this.#base.store.put(key, object, signal);
    this.#learn(key, part);
    this.open.add(key);
    return key;
  }

  /**
   * Does G4.a. All collectors write the same bytes; spared slots need no mention, because no writer
   * can use them again.
   */
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
