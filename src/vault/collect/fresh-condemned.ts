import type { SlotName } from '../aliases.ts';
import type { PackFooter } from '../pack-layout.ts';
import { SlotSet } from '../slot-set.ts';
import { ulidTimeMs, type Ulid } from '../ulid.ts';
import type { Marking } from './marking.ts';
import type { ListedPack, PackListing } from './pack-listing.ts';

const FOOTERS_AT_ONCE = 16;

export interface FreshQuestion {
  readonly packs: PackListing;
  readonly marking: Marking;
  /** What is condemned already. */
  readonly condemned: SlotSet;
  /** Packs named later than this are young. */
  readonly youngFromMs: number;
  /** The footers of a pack's generations; none if any of them cannot be read. */
  readonly footers: (pack: ListedPack) => Promise<readonly PackFooter[]>;
}

/** Slots of the share that no point needs and that are not condemned yet: each under all names that it has, or not at all. */
export async function findFresh(question: FreshQuestion): Promise<SlotSet> {
  const { packs, marking, condemned } = question;
  const fresh = new SlotSet();
  const singles = new Singles(fresh);
  const open: ListedPack[] = [];
  for (const pack of packs.values()) {
    if (isYoung(question, pack.ulid) || !marking.live.isInShare(pack.ulid)) {
      continue;
    }
    const handle = marking.live.handle(pack.ulid);
    if (marking.live.isFull(handle)) {
      continue;
    }
    if (!marking.live.isEmpty(handle) || marking.links.touches(pack.ulid)) {
      open.push(pack);
    } else if (condemned.of(pack.ulid) !== 'all') {
      fresh.add(pack.ulid, 'all');
    }
  }
  for (let at = 0; at < open.length; at += FOOTERS_AT_ONCE) {
    const some = open.slice(at, at + FOOTERS_AT_ONCE);
    const footers = await Promise.all(some.map((pack) => question.footers(pack)));
    for (const [index, pack] of some.entries()) {
      for (const slot of presentSlots(footers[index] ?? [])) {
        condemn(question, { ulid: pack.ulid, slot }, singles);
      }
    }
    singles.flush();
  }
  return fresh;
}

function condemn(question: FreshQuestion, slot: SlotName, singles: Singles): void {
  const { live, links } = question.marking;
  if (live.has(live.handle(slot.ulid), slot.slot)) {
    return;
  }
  const names = [slot, ...links.names(slot)];
  const isKnown = names.every((name) => question.condemned.has(name.ulid, name.slot));
  if (isKnown || names.some(({ ulid }) => isYoung(question, ulid))) {
    return;
  }
  for (const name of names) {
    singles.add(name);
  }
}

function* presentSlots(footers: readonly PackFooter[]): Iterable<number> {
  const slots = Math.max(0, ...footers.map((footer) => footer.slots));
  for (let slot = 0; slot < slots; slot++) {
    if (footers.some((footer) => footer.size(slot) > 0)) {
      yield slot;
    }
  }
}

/** A pack that is not in the listing is not young: it is gone, and its names live on. */
function isYoung({ packs, youngFromMs }: FreshQuestion, ulid: Ulid): boolean {
  return packs.has(ulid) && ulidTimeMs(ulid) > youngFromMs;
}

/** Collects slots one by one and adds them as ranges. */
class Singles {
  readonly #target: SlotSet;
  readonly #slots = new Map<Ulid, { first: number; count: number }[]>();

  constructor(target: SlotSet) {
    this.#target = target;
  }

  add({ ulid, slot }: SlotName): void {
    const ranges = this.#slots.get(ulid) ?? [];
    this.#slots.set(ulid, ranges);
    const last = ranges.at(-1);
    if (last !== undefined && last.first + last.count === slot) {
      last.count += 1;
    } else {
      ranges.push({ first: slot, count: 1 });
    }
  }

  flush(): void {
    for (const [ulid, ranges] of this.#slots) {
      this.#target.add(ulid, ranges);
    }
    this.#slots.clear();
  }
}
