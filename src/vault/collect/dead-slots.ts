import assert from 'node:assert/strict';
import type { SlotName } from '../aliases.ts';
import type { PackFooter } from '../pack-layout.ts';
import type { SlotSet } from '../slot-set.ts';
import type { Ulid } from '../ulid.ts';
import type { Marking } from './marking.ts';

/**
 * What may be removed: condemned before G2 began, under every name it has, and needed under none of
 * them. Such a slot stays dead: whoever puts a point that refers to it finds it condemned in W2.
 */
export class DeadSlots {
  readonly #condemned: SlotSet;
  readonly #changes: number;
  readonly #marking: Marking;

  /**
   * @param condemned what was condemned before G2 began; nothing may be added afterwards
   * @param changes of it when G2 began
   */
  constructor(condemned: SlotSet, changes: number, marking: Marking) {
    this.#condemned = condemned;
    this.#changes = changes;
    this.#marking = marking;
  }

  has(ulid: Ulid, slot: number): boolean {
    const { live, links } = this.#marking;
    return (
      this.#isCondemned(ulid, slot) &&
      !live.has(live.handle(ulid), slot) &&
      (!links.touches(ulid) || links.names({ ulid, slot }).every((name) => this.#isDeadName(name)))
    );
  }

  /** Whether any slot of the pack can be dead at all. */
  touches(ulid: Ulid): boolean {
    return this.#condemned.touches(ulid);
  }

  /** Whether the whole pack is dead, as far as that is known without its footer. */
  hasAll(ulid: Ulid): boolean {
    const { live, links } = this.#marking;
    this.#requireSame();
    return this.#condemned.hasAll(ulid) && live.isEmpty(live.handle(ulid)) && !links.touches(ulid);
  }

  hasAllOf(ulid: Ulid, footer: PackFooter): boolean {
    for (let slot = 0; slot < footer.slots; slot++) {
      if (footer.size(slot) > 0 && !this.has(ulid, slot)) {
        return false;
      }
    }
    return true;
  }

  /** Share of a pack's content that is not dead. */
  keptShare(ulid: Ulid, footer: PackFooter): number {
    let kept = 0;
    let all = 0;
    for (let slot = 0; slot < footer.slots; slot++) {
      const size = footer.size(slot);
      all += size;
      kept += size > 0 && !this.has(ulid, slot) ? size : 0;
    }
    return all === 0 ? 0 : kept / all;
  }

  #isDeadName({ ulid, slot }: SlotName): boolean {
    const { live } = this.#marking;
    return this.#isCondemned(ulid, slot) && !live.has(live.handle(ulid), slot);
  }

  #isCondemned(ulid: Ulid, slot: number): boolean {
    this.#requireSame();
    return this.#condemned.has(ulid, slot);
  }

  /** What was condemned since was not before the listing of points that this relies on. */
  #requireSame(): void {
    assert(this.#condemned.changes === this.#changes, 'something was condemned after G2 began');
  }
}
