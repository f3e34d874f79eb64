import assert from 'node:assert/strict';
import type { SlotName } from '../../packs/aliases.ts';
import type { PackFooter } from '../../packs/pack-layout.ts';
import type { SlotSet } from '../../slots/slot-set.ts';
import type { Ulid } from '../../bytes/ulid.ts';
import type { Marking } from '../roots/marking.ts';

/**
 * G2.b: slots that may be removed: condemned before G2 began under every name they have, and needed
 * under none. They stay dead: a writer whose new point refers to one finds it condemned in W2.
 */
export class DeadSlots {
  readonly #condemned: SlotSet;
  readonly #changes: number;
  readonly #marking: Marking;

  /**
   * @param condemned what was condemned before G2 began; nothing may be added to it afterwards
   * @param changes value of `condemned.changes` when G2 began
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

  /** Whether any slot of the pack may be dead. */
  touches(ulid: Ulid): boolean {
    return this.#condemned.touches(ulid);
  }

  /** Whether the whole pack is known to be dead without reading its footer. */
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

  /** Returns the share of a pack's content that is not dead, 0 to 1. */
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

  /** Slots condemned later were not condemned before the listing of points that this relies on. */
  #requireSame(): void {
    assert(this.#condemned.changes === this.#changes, 'something was condemned after G2 began');
  }
}
