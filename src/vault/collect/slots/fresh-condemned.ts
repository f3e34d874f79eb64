import type { SlotName } from '../../packs/aliases.ts';
import type { PackFooter } from '../../packs/pack-layout.ts';
import { SlotSet } from '../../slots/slot-set.ts';
import { ulidTimeMs, type Ulid } from '../../bytes/ulid.ts';
import type { CollectRules } from '../collect-options.ts';
import type { Marking } from '../roots/marking.ts';
import { storedBytesOf } from '../rewriting/stored-bytes.ts';
import type { RewriteAllowance } from '../rewriting/rewrite-allowance.ts';
import { totalSize, type ListedPack, type PackListing } from '../rewriting/pack-listing.ts';

const FOOTERS_AT_ONCE = 16;
/** Packs per list, so that a list takes a few megabytes. */
const LIST_PACKS = 100_000;
const LIST_RANGES = 2 ** 20;

export interface FreshQuestion {
  readonly packs: PackListing;
  readonly marking: Marking;
  /** What is condemned already. The caller may add what `findFresh` yields. */
  readonly condemned: SlotSet;
  /** Packs with a later name are young. */
  readonly youngFromMs: number;
  readonly rules: Pick<CollectRules, 'liveShare' | 'smallPackBytes'>;
  /** For the packs that are needed in part: what is condemned in them must be rewritten. */
  readonly allowance: RewriteAllowance;
  /** Returns the footers of a pack's generations; none if any of them cannot be read. */
  readonly footers: (pack: ListedPack) => Promise<readonly PackFooter[]>;
  /** Called with the bytes that nothing needs and that are not condemned now. */
  readonly left: (bytes: number) => void;
}

/**
 * G1: yields slots of the share that no point needs, that are not condemned yet and that can go:
 * each slot under all its names or not at all (G1.b). Each part yielded makes a list.
 *
 * Dead slots of a partly needed pack go when the pack is rewritten. If rewriting does not pay, or
 * exceeds the limit, the slots are left alone: a condemned slot could not be used again, every
 * writer would have to read it for ever, and its bytes would still be there.
 */
export async function* findFresh(question: FreshQuestion): AsyncIterable<SlotSet> {
  const search = new FreshSearch(question);
  let open: ListedPack[] = [];
  for (const pack of question.packs.values()) {
    if (search.needsFooter(pack)) {
      open.push(pack);
    }
    if (open.length >= FOOTERS_AT_ONCE) {
      await search.look(open);
      open = [];
    }
    if (search.isFull) {
      yield search.take();
    }
  }
  await search.look(open);
  const rest = search.take();
  if (!rest.isEmpty) {
    yield rest;
  }
}

class FreshSearch {
  readonly #question: FreshQuestion;
  #found = new SlotSet();
  #ranges = 0;

  constructor(question: FreshQuestion) {
    this.#question = question;
  }

  get isFull(): boolean {
    return this.#found.packCount >= LIST_PACKS || this.#ranges >= LIST_RANGES;
  }

  take(): SlotSet {
    const found = this.#found;
    this.#found = new SlotSet();
    this.#ranges = 0;
    return found;
  }

  /**
   * Adds a pack as a whole if nothing in it is needed. @returns whether single slots must be
   * checked
   */
  needsFooter({ ulid }: ListedPack): boolean {
    const { marking, condemned } = this.#question;
    const { live, links } = marking;
    if (isListedAndYoung(this.#question, ulid) || !live.isInShare(ulid)) {
      return false;
    }
    const handle = live.handle(ulid);
    if (live.isFull(handle)) {
      return false;
    }
    if (!live.isEmpty(handle) || links.touches(ulid)) {
      return true;
    }
    if (!condemned.hasAll(ulid)) {
      this.#found.add(ulid, 'all');
    }
    return false;
  }

  async look(packs: readonly ListedPack[]): Promise<void> {
    const footers = await Promise.all(packs.map((pack) => this.#question.footers(pack)));
    const singles = new Singles(this.#found);
    for (const [index, pack] of packs.entries()) {
      this.#pack(pack, footers[index] ?? [], singles);
    }
    this.#ranges += singles.flush();
  }

  #pack(pack: ListedPack, footers: readonly PackFooter[], singles: Singles): void {
    const { marking } = this.#question;
    const { ulid } = pack;
    const handle = marking.live.handle(ulid);
    const dead = presentSlots(footers).filter((slot) => !marking.live.has(handle, slot));
    const goes = marking.links.touches(ulid) || this.#goes(pack, footers, dead);
    for (const slot of goes ? dead : []) {
      this.#condemn({ ulid, slot }, singles);
    }
  }

  /** Whether this collection may rewrite the pack or merge it with others. */
  #goes(
    { ulid, objects }: ListedPack,
    footers: readonly PackFooter[],
    dead: readonly number[],
  ): boolean {
    const { condemned, rules, allowance, left } = this.#question;
    const best = footers.at(-1);
    const size = totalSize(objects);
    if (best === undefined || objects.length > 1 || size < rules.smallPackBytes) {
      return true;
    }
    const sum = (total: number, slot: number): number => total + best.size(slot);
    const all = best.sizes.reduce((total, slotSize) => total + slotSize, 0);
    const deadShare = dead.reduce(sum, 0) / Math.max(1, all);
    if (deadShare >= 1 || (1 - deadShare < rules.liveShare && allowance.take(size))) {
      return true;
    }
    const fresh = new Set(dead.filter((slot) => !condemned.has(ulid, slot)));
    left(Math.round(storedBytesOf(best, (slot) => fresh.has(slot))));
    return false;
  }

  #condemn(slot: SlotName, singles: Singles): void {
    const { condemned, marking } = this.#question;
    const names = marking.links.touches(slot.ulid) ? [slot, ...marking.links.names(slot)] : [slot];
    const isKnown = names.every((name) => condemned.has(name.ulid, name.slot));
    if (isKnown || names.some(({ ulid }) => isListedAndYoung(this.#question, ulid))) {
      return;
    }
    for (const name of names) {
      singles.add(name);
    }
  }
}

function presentSlots(footers: readonly PackFooter[]): number[] {
  const slots = Math.max(0, ...footers.map((footer) => footer.slots));
  const present: number[] = [];
  for (let slot = 0; slot < slots; slot++) {
    if (footers.some((footer) => footer.size(slot) > 0)) {
      present.push(slot);
    }
  }
  return present;
}

/** G1.c. A pack that is not listed is gone, and only its names live on: it is not young. */
function isListedAndYoung({ packs, youngFromMs }: FreshQuestion, ulid: Ulid): boolean {
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

  /** @returns how many ranges there were */
  flush(): number {
    let count = 0;
    for (const [ulid, ranges] of this.#slots) {
      this.#target.add(ulid, ranges);
      count += ranges.length;
    }
    return count;
  }
}
