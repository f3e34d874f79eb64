import type { Aliases, SlotName } from '../../packs/aliases.ts';
import type { SlotRange } from '../../slots/slot-set.ts';
import type { Ulid } from '../../bytes/ulid.ts';

/** Slots of one pack, and where the same content has another name. */
interface Link extends SlotRange {
  readonly other: Ulid;
  readonly otherFirst: number;
}

/** Aliases in both directions: all names of a slot are one slot for a collector. */
export class SlotLinks {
  readonly #links = new Map<Ulid, Link[]>();
  /**
   * By pack: a pack it is linked with. Following the entries ends at one pack per connected group.
   */
  readonly #first = new Map<Ulid, Ulid>();

  constructor(aliases: Aliases) {
    for (const { from, to, count } of aliases.all()) {
      this.#add(from, to, count);
      this.#add(to, from, count);
      this.#join(from.ulid, to.ulid);
    }
  }

  /** Whether any slot of the pack has another name. */
  touches(pack: Ulid): boolean {
    return this.#links.has(pack);
  }

  /** Returns the pack that stands for all packs linked with this one, directly or not. */
  together(pack: Ulid): Ulid {
    let first = pack;
    for (let next = this.#first.get(pack); next !== undefined; next = this.#first.get(next)) {
      first = next;
    }
    if (first !== pack && this.#first.get(pack) !== first) {
      this.#first.set(pack, first);
    }
    return first;
  }

  /** Returns all other names of a slot. */
  names(start: SlotName): SlotName[] {
    if (!this.#links.has(start.ulid)) {
      return [];
    }
    const found: SlotName[] = [];
    const seen = new Set([`${start.ulid}/${start.slot}`]);
    for (let next: SlotName | undefined = start, at = 0; next !== undefined; next = found[at++]) {
      for (const name of this.#direct(next)) {
        const text = `${name.ulid}/${name.slot}`;
        if (!seen.has(text)) {
          seen.add(text);
          found.push(name);
        }
      }
    }
    return found;
  }

  /** Returns the slots of the pack that have other names, as ranges that may overlap. */
  linked(pack: Ulid): readonly SlotRange[] {
    return this.#links.get(pack) ?? [];
  }

  *#direct({ ulid, slot }: SlotName): Iterable<SlotName> {
    for (const { first, count, other, otherFirst } of this.#links.get(ulid) ?? []) {
      if (slot >= first && slot < first + count) {
        yield { ulid: other, slot: otherFirst + slot - first };
      }
    }
  }

  #join(one: Ulid, other: Ulid): void {
    const [a, b] = [this.together(one), this.together(other)];
    if (a !== b) {
      this.#first.set(b, a);
    }
  }

  #add(from: SlotName, to: SlotName, count: number): void {
    const links = this.#links.get(from.ulid) ?? [];
    this.#links.set(from.ulid, links);
    links.push({ first: from.slot, count, other: to.ulid, otherFirst: to.slot });
  }
}
