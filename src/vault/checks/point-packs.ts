import { walkPoint } from '../points/map-walk.ts';
import type { PackName } from '../format/object-names.ts';
import { MapTree } from '../maps/map-tree.ts';
import { mapRoot, nodePointer } from '../points/point-maps.ts';
import type { PointDocument } from '../points/point-object.ts';
import type { SlotReference } from '../packs/open-pack.ts';
import type { Ulid } from '../bytes/ulid.ts';
import type { VaultInside } from '../vault-inside.ts';

/**
 * Returns all packs that a point needs, by the keys in its map. Reads the map, but no footers of
 * data packs.
 */
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

interface SlotsQuestion extends Pick<VaultInside, 'nodes'> {
  /** Nodes that need no second look; those of the point are added. */
  readonly seen?: Set<string>;
}

/**
 * Returns the slots that a point needs of these packs, by the names in its map. Leaves out packs
 * for which it cannot tell.
 */
export async function slotsOfPacks(
  { nodes, seen = new Set<string>() }: SlotsQuestion,
  document: PointDocument,
  packs: readonly PackName[],
  signal: AbortSignal,
): Promise<Map<Ulid, Set<number>>> {
  const slots = new Map<Ulid, Set<number>>(packs.map(({ ulid }) => [ulid, new Set()]));
  if (packs.length === 0) {
    return slots;
  }
  const { numbers } = nodes.base;
  const note = ({ pack, slot }: SlotReference): void => {
    slots.get(numbers.name(pack).ulid)?.add(slot);
  };
  const visitor = {
    node: (node: SlotReference) => {
      const name = `${String(node.pack)}/${String(node.slot)}`;
      const isNew = !seen.has(name);
      seen.add(name);
      note(node);
      return isNew;
    },
    data: note,
    unknown: (pack: number) => slots.delete(numbers.name(pack).ulid),
  };
  await walkPoint(nodes, document, visitor, signal);
  return slots;
}
