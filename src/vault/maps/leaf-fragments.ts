import { createHmac } from 'node:crypto';
import { demand } from '../bytes/binary.ts';
import { MAC_BYTES } from '../keys/key-tree.ts';
import type { MapExtent } from './map-node.ts';
import type { PackFooter } from '../packs/pack-layout.ts';

/** A part of one slot, used at one place of a leaf. */
export interface Fragment {
  /** Sector inside the leaf. */
  readonly start: number;
  readonly sectors: number;
  readonly pack: number;
  readonly slot: number;
  /** First sector inside the slot. */
  readonly first: number;
  /** Sectors of the whole slot. */
  readonly slotSectors: number;
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** The name that the map has for the slot, if the slot now lies under another one. */
  readonly via?: { readonly pack: number; readonly slot: number };
}

/**
 * Returns the slots behind the extents of a leaf.
 * @throws Malformed if the footers do not have them
 */
export function expandExtents(
  extents: readonly MapExtent[],
  footers: ReadonlyMap<number, PackFooter>,
): Fragment[] {
  const fragments: Fragment[] = [];
  for (const extent of extents) {
    const footer = footers.get(extent.pack);
    demand(footer !== undefined, 'a pack is unknown');
    let { slot, first, start } = extent;
    const end = extent.start + extent.sectors;
    while (start < end) {
      const slotSectors = footer.size(slot);
      demand(slotSectors > first, `slot ${slot} is missing in its pack`);
      const sectors = Math.min(slotSectors - first, end - start);
      fragments.push({
        start,
        sectors,
        pack: extent.pack,
        slot,
        first,
        slotSectors,
        id: footer.id(slot),
      });
      start += sectors;
      slot += 1;
      first = 0;
    }
  }
  return fragments;
}

/** Whether one footer has all slots of an extent. */
export function hasAll({ slot, first, sectors }: MapExtent, footer?: PackFooter): boolean {
  let found = -first;
  for (let at = slot; found < sectors; at++) {
    const size = footer?.size(at) ?? 0;
    if (size === 0) {
      return false;
    }
    found += size;
  }
  return true;
}

/** Walks the slots of an extent one by one, when they lie in several packs. */
export class ExtentExpansion {
  readonly #extent: MapExtent;
  #slot: number;
  #start: number;

  constructor(extent: MapExtent) {
    this.#extent = extent;
    this.#slot = extent.slot;
    this.#start = extent.start;
  }

  get done(): boolean {
    return this.#start >= this.#extent.start + this.#extent.sectors;
  }

  /** The slot that `take` expects next, by the map's name. */
  get next(): { readonly pack: number; readonly slot: number } {
    return { pack: this.#extent.pack, slot: this.#slot };
  }

  /**
   * @param found where that slot is
   * @throws Malformed
   */
  take(found: { readonly pack: number; readonly slot: number }, footer: PackFooter): Fragment {
    const first = this.#slot === this.#extent.slot ? this.#extent.first : 0;
    const slotSectors = footer.size(found.slot);
    demand(slotSectors > first, `slot ${found.slot} is too short for its extent`);
    const left = this.#extent.start + this.#extent.sectors - this.#start;
    const isOther = found.pack !== this.#extent.pack || found.slot !== this.#slot;
    const fragment = {
      start: this.#start,
      sectors: Math.min(slotSectors - first, left),
      pack: found.pack,
      slot: found.slot,
      first,
      slotSectors,
      id: footer.id(found.slot),
      ...(isOther ? { via: this.next } : {}),
    };
    this.#start += fragment.sectors;
    this.#slot += 1;
    return fragment;
  }
}

/** Joins fragments that continue through consecutive slots of a pack. */
export function collapseFragments(fragments: readonly Fragment[]): MapExtent[] {
  const extents: MapExtent[] = [];
  let open:
    { start: number; sectors: number; pack: number; slot: number; first: number } | undefined;
  let last: Fragment | undefined;
  for (const fragment of fragments) {
    if (open !== undefined && last !== undefined && follows(last, fragment)) {
      open.sectors += fragment.sectors;
    } else {
      const { start, sectors, pack, slot, first } = fragment;
      open = { start, sectors, pack, slot, first };
      extents.push(open);
    }
    last = fragment;
  }
  return extents;
}

function follows(last: Fragment, next: Fragment): boolean {
  return (
    next.pack === last.pack &&
    next.slot === last.slot + 1 &&
    next.start === last.start + last.sectors &&
    next.first === 0 &&
    last.first + last.sectors === last.slotSectors
  );
}

/** Returns the MAC that proves what a leaf contains, not only where it lies. */
export function contentMac(mapKey: Uint8Array, fragments: readonly Fragment[]): Buffer {
  const hmac = createHmac('sha256', mapKey).update('leaf');
  const record = Buffer.alloc(20 * fragments.length);
  for (const [index, { id, first, sectors }] of fragments.entries()) {
    record.set(id, index * 20);
    record.writeUInt16LE(first, index * 20 + 16);
    record.writeUInt16LE(sectors, index * 20 + 18);
  }
  return hmac.update(record).digest().subarray(0, MAC_BYTES);
}

/** Sectors [from, to) of a leaf. */
export interface SectorRange {
  readonly from: number;
  readonly to: number;
}

/** Removes ranges (ascending, disjoint), and keeps what is left at both ends of fragments. */
export function cutOut(fragments: readonly Fragment[], ranges: readonly SectorRange[]): Fragment[] {
  const kept: Fragment[] = [];
  let next = 0;
  for (const fragment of fragments) {
    const end = fragment.start + fragment.sectors;
    while ((ranges[next]?.to ?? Infinity) <= fragment.start) {
      next += 1;
    }
    let at = fragment.start;
    for (let index = next; at < end; index++) {
      const range = ranges[index];
      const until = Math.min(end, range?.from ?? end);
      if (until > at) {
        kept.push({
          ...fragment,
          start: at,
          sectors: until - at,
          first: fragment.first + at - fragment.start,
        });
      }
      at = until >= end ? end : Math.max(at, range?.to ?? end);
    }
  }
  return kept;
}
