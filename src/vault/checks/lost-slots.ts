import { packPrefix, parsePackKey } from '../format/object-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import { SlotSet, type SlotRange } from '../slots/slot-set.ts';
import type { Ulid } from '../bytes/ulid.ts';
import type { DamagedSlots } from '../damage/damaged-slots.ts';
import type { PackCheck, PackFindings } from './pack-check.ts';

/** Slots by number; `all` if nothing tells how many there are. */
export type SlotNumbers = 'all' | ReadonlySet<number>;

/**
 * Returns the slots that an object does not have whole, without those that other generations of the
 * pack have whole under the same ids.
 */
export async function lostSlots(
  store: ObjectStore,
  check: PackCheck,
  { name, key, damaged, footer }: PackFindings,
  signal: AbortSignal,
): Promise<{ slots: SlotNumbers; bytes: number; requests: number }> {
  let slots: SlotNumbers = damaged === 'all' ? damaged : numbersOf(damaged);
  let [bytes, requests] = [0, 0];
  for await (const other of store.list(packPrefix(name), signal)) {
    const generation = parsePackKey(other.key);
    if (other.key === key || generation?.ulid !== name.ulid || isNone(slots)) {
      continue;
    }
    const found = await check.run(generation, signal);
    bytes += found.bytes;
    requests += found.requests;
    slots = without(slots, found, footer);
  }
  return { slots, bytes, requests };
}

/** Takes the slots from another generation if the object itself does not tell them. */
function without(
  slots: SlotNumbers,
  { footer, damaged }: PackFindings,
  own: PackFooter | undefined,
): SlotNumbers {
  if (footer === undefined || damaged === 'all') {
    return slots;
  }
  const damagedThere = numbersOf(damaged);
  if (slots === 'all') {
    return damagedThere;
  }
  const isOther = (slot: number): boolean => own?.hasId(slot, footer.id(slot)) === false;
  return new Set(
    [...slots].filter((slot) => footer.size(slot) === 0 || damagedThere.has(slot) || isOther(slot)),
  );
}

function isNone(slots: SlotNumbers): boolean {
  return slots !== 'all' && slots.size === 0;
}

export function numbersOf(ranges: readonly SlotRange[]): Set<number> {
  return new Set(
    ranges.flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at)),
  );
}

/** Adds slots to the set, as ranges. */
export function addSlots(set: SlotSet, ulid: Ulid, slots: SlotNumbers): void {
  const known = set.of(ulid);
  if (slots === 'all' || known === 'all') {
    set.add(ulid, 'all');
    return;
  }
  const fresh = [...slots].filter((slot) => !set.has(ulid, slot)).sort((a, b) => a - b);
  const ranges: { first: number; count: number }[] = [];
  for (const slot of fresh) {
    const last = ranges.at(-1);
    if (last !== undefined && last.first + last.count === slot) {
      last.count += 1;
    } else {
      ranges.push({ first: slot, count: 1 });
    }
  }
  if (ranges.length > 0) {
    set.add(ulid, ranges);
  }
}

/** Returns the lost slots that are in no list under `bad/` yet. */
export function newlyDamaged(known: DamagedSlots, lost: SlotSet): SlotSet {
  const fresh = new SlotSet();
  for (const ulid of lost.packs()) {
    const ranges = lost.of(ulid) ?? [];
    if (ranges === 'all') {
      if (!known.hasAll(ulid)) {
        fresh.add(ulid, 'all');
      }
    } else {
      const slots = [...numbersOf(ranges)].filter((slot) => !known.has(ulid, slot));
      addSlots(fresh, ulid, new Set(slots));
    }
  }
  return fresh;
}
