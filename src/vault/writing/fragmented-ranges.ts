import { mergeExtents, totalLength, type ContentExtent, type Extent } from '../../disk/extent.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { collapseFragments, type Fragment } from '../maps/leaf-fragments.ts';
import { LEAF_SECTORS } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';

/** 128 KiB of a disk. */
const NEIGHBOURHOOD_SECTORS = 32;
/** A neighbourhood with more pieces is slow to read back. */
const EXTENTS_MAX = 8;
/** A slot of which less is in use keeps much in the vault for little. */
const LIVE_SHARE_MIN = 0.25;
/** Share of what the backup reads anyway. */
const BUDGET_SHARE = 0.02;
const BUDGET_BYTES_MIN = 1024 * 1024;
/** Leaves examined in one backup. Each costs only what the backup spends on it anyway. */
const LEAVES_MAX = 256;

/**
 * Finds neighbourhoods of changed leaves that many small changes have left in too many pieces.
 * Reading and storing them anew, along with what changed, keeps restores fast and frees old slots.
 * @returns byte ranges, ascending, at most 2 % of what changed (or up to 1 MiB)
 */
export async function fragmentedRanges(
  last: MapTree,
  changed: readonly ContentExtent[],
  signal: AbortSignal,
): Promise<Extent[]> {
  const read = totalLength(changed.filter(({ content }) => content === 'data'));
  const budget = Math.max(BUDGET_BYTES_MIN, Math.floor(read * BUDGET_SHARE));
  const ranges: Extent[] = [];
  for (const leaf of touchedLeaves(changed, last.root.sizeBytes)) {
    const base = leaf * LEAF_SECTORS;
    for (const neighbourhood of fragmented(await last.leaf(leaf, signal))) {
      const sector = base + neighbourhood * NEIGHBOURHOOD_SECTORS;
      const offset = sector * SECTOR_BYTES;
      const length = Math.min(NEIGHBOURHOOD_SECTORS * SECTOR_BYTES, last.root.sizeBytes - offset);
      if (totalLength(ranges) + length > budget) {
        return mergeExtents(ranges);
      }
      ranges.push({ offset, length });
    }
  }
  return mergeExtents(ranges);
}

function touchedLeaves(changed: readonly ContentExtent[], sizeBytes: number): number[] {
  const leafBytes = LEAF_SECTORS * SECTOR_BYTES;
  const leaves = new Set<number>();
  for (const { offset, length } of changed) {
    const end = Math.min(offset + length, sizeBytes);
    for (let leaf = Math.floor(offset / leafBytes); leaf * leafBytes < end; leaf++) {
      leaves.add(leaf);
      if (leaves.size >= LEAVES_MAX) {
        return [...leaves];
      }
    }
  }
  return [...leaves];
}

/**
 * Returns the neighbourhoods of a leaf with too many extents, or with a piece of a hardly used
 * slot.
 */
export function fragmented(fragments: readonly Fragment[]): number[] {
  const extents = new Map<number, number>();
  const count = (start: number, sectors: number): void => {
    const to = Math.floor((start + sectors - 1) / NEIGHBOURHOOD_SECTORS);
    for (let at = Math.floor(start / NEIGHBOURHOOD_SECTORS); at <= to; at++) {
      extents.set(at, (extents.get(at) ?? 0) + 1);
    }
  };
  for (const { start, sectors } of collapseFragments(fragments)) {
    count(start, sectors);
  }
  const worth = new Set([...extents].filter(([, n]) => n > EXTENTS_MAX).map(([at]) => at));
  for (const fragment of hardlyUsed(fragments)) {
    worth.add(Math.floor(fragment.start / NEIGHBOURHOOD_SECTORS));
  }
  return [...worth].sort((a, b) => a - b);
}

function hardlyUsed(fragments: readonly Fragment[]): Fragment[] {
  const used = new Map<string, number>();
  const slotOf = ({ pack, slot }: Fragment): string => `${pack}/${slot}`;
  for (const fragment of fragments) {
    used.set(slotOf(fragment), (used.get(slotOf(fragment)) ?? 0) + fragment.sectors);
  }
  return fragments.filter(
    (fragment) => (used.get(slotOf(fragment)) ?? 0) < fragment.slotSectors * LIVE_SHARE_MIN,
  );
}
