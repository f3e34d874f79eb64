import type { PackName } from '../layout.ts';
import { MapTree } from '../map-tree.ts';
import { mapRoot, nodePointer } from '../point-maps.ts';
import type { PointDocument } from '../point-object.ts';
import type { VaultInside } from '../vault.ts';

/** All packs that a point needs, by the keys under which it knows them. Reads the map, no footers of data packs. */
export async function pointPacks(
  { base, nodes }: Pick<VaultInside, 'base' | 'nodes'>,
  { disks, files }: PointDocument,
  signal: AbortSignal,
): Promise<PackName[]> {
  const packs = new Set<number>();
  for (const { slots } of files) {
    for (const slot of slots) {
      packs.add(nodePointer(slot, base.numbers).pack);
    }
  }
  for (const disk of disks) {
    const tree = new MapTree(nodes, mapRoot(disk, base.numbers));
    for await (const { pack } of tree.nodePointers(signal)) {
      packs.add(pack);
    }
    for await (const { pointer } of tree.leaves(signal)) {
      for (const { pack } of (await nodes.leaf(pointer, signal)).extents) {
        packs.add(pack);
      }
    }
  }
  return [...packs].map((pack) => base.numbers.name(pack));
}
