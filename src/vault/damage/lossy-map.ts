import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { sameBytes } from '../keys/key-tree.ts';
import { contentMac, ExtentExpansion, type Fragment } from '../maps/leaf-fragments.ts';
import { FAN_OUT, LEAF_BYTES, type MapExtent, type NodePointer } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import { parseOr } from '../bytes/binary.ts';
import { corrupt } from '../packs/pack-faults.ts';
import { orLost, type Losses } from './losses.ts';

/** What lies in one leaf of a disk. */
export interface LeafContent {
  readonly index: number;
  readonly fragments: readonly Fragment[];
}

/** Yields all leaves that are not zero. Damage anywhere in the map is a fault. */
export async function* leafContents(
  tree: MapTree,
  signal: AbortSignal,
): AsyncIterable<LeafContent> {
  for await (const { index, pointer } of tree.leaves(signal)) {
    yield { index, fragments: await tree.nodes.fragments(pointer, signal) };
  }
}

/**
 * Yields what can be read of a map. A lost node costs what it covers; a slot that is nowhere costs
 * its extent; packs that do not match a leaf cost the whole leaf. The content MAC of a leaf that is
 * not whole cannot be checked; each slot is still proven to be that slot.
 */
export async function* lossyLeafContents(
  tree: MapTree,
  losses: Losses,
  signal: AbortSignal,
): AsyncIterable<LeafContent> {
  const { pointer, depth, sizeBytes } = tree.root;
  if (pointer !== undefined) {
    yield* walk({ tree, losses, sizeBytes }, { pointer, level: depth, index: 0 }, signal);
  }
}

interface Walking {
  readonly tree: MapTree;
  readonly losses: Losses;
  readonly sizeBytes: number;
}

async function* walk(
  walking: Walking,
  { pointer, level, index }: { pointer: NodePointer; level: number; index: number },
  signal: AbortSignal,
): AsyncIterable<LeafContent> {
  const { tree, losses, sizeBytes } = walking;
  const span = LEAF_BYTES * FAN_OUT ** level;
  const offset = index * span;
  if (offset >= sizeBytes) {
    return;
  }
  const range = { offset, length: Math.min(span, sizeBytes - offset) };
  if (level > 0) {
    const children = await orLost(losses, range, async () =>
      tree.nodes.inner(pointer, level, signal),
    );
    for (const [child, childPointer] of children ?? []) {
      const next = { pointer: childPointer, level: level - 1, index: index * FAN_OUT + child };
      yield* walk(walking, next, signal);
    }
    return;
  }
  const leaf = await orLost(losses, range, async () => tree.nodes.leaf(pointer, signal));
  if (leaf === undefined) {
    return;
  }
  const fragments: Fragment[] = [];
  for (const extent of leaf.extents) {
    fragments.push(...(await expand(walking, offset, extent, signal)));
  }
  const isWhole = sectorsOf(fragments) === sectorsOf(leaf.extents);
  const mac = contentMac(tree.nodes.base.keys.purpose('map'), fragments);
  if (isWhole && !sameBytes(mac, leaf.contentMac)) {
    for (const { start, sectors } of leaf.extents) {
      const from = offset + start * SECTOR_BYTES;
      losses.add({ offset: from, length: Math.min(sectors * SECTOR_BYTES, sizeBytes - from) });
    }
    return;
  }
  yield { index, fragments };
}

function sectorsOf(parts: readonly { readonly sectors: number }[]): number {
  return parts.reduce((sum, { sectors }) => sum + sectors, 0);
}

/**
 * Returns the slots of an extent up to the first that is nowhere: nothing tells where the next
 * begins.
 */
async function expand(
  { tree, losses, sizeBytes }: Walking,
  base: number,
  extent: MapExtent,
  signal: AbortSignal,
): Promise<Fragment[]> {
  const { packs } = tree.nodes;
  const fragments: Fragment[] = [];
  const expansion = new ExtentExpansion(extent);
  while (!expansion.done) {
    const last = fragments.at(-1);
    const start = last === undefined ? extent.start : last.start + last.sectors;
    const offset = base + start * SECTOR_BYTES;
    const end = Math.min(sizeBytes, base + (extent.start + extent.sectors) * SECTOR_BYTES);
    const fragment = await orLost(losses, { offset, length: end - offset }, async () => {
      const placed = await packs.place(expansion.next, signal);
      return parseOr(
        (why, cause) => corrupt(placed.open.name, why, cause),
        () => expansion.take(placed, placed.open.footer),
      );
    });
    if (fragment === undefined) {
      return fragments;
    }
    fragments.push(fragment);
  }
  return fragments;
}
