import { MapTree, type MapNodes, type MapRoot } from '../maps/map-tree.ts';
import type { PointStore } from '../points/point-store.ts';
import type { SlotBitmap } from '../slots/used-slots.ts';
import type { SlotSet } from '../slots/slot-set.ts';
import type { Ulid } from '../bytes/ulid.ts';

/** Why a point cannot be sealed as it was written. */
export type Conflict = 'none' | 'own-slots' | 'parent-gone';

/** The slots and the parent that a written point relies on. */
export interface WrittenPoint {
  /** Slots of data packs that were not inherited from the parent. */
  readonly used: SlotBitmap;
  readonly metadataPacks: readonly Ulid[];
  readonly roots: readonly MapRoot[];
  readonly parent: { readonly vmId: string; readonly id: Ulid } | undefined;
}

/**
 * Does W2 of docs/vault-format.md, section 10: finds out whether a collector condemned what the
 * point needs before the point became a root. Call it after W1 returned.
 */
export async function findConflict(
  { nodes, points }: { readonly nodes: MapNodes; readonly points: PointStore },
  condemned: SlotSet,
  { used, metadataPacks, roots, parent }: WrittenPoint,
  signal: AbortSignal,
): Promise<Conflict> {
  if (condemned.isEmpty) {
    return 'none';
  }
  if (usesAny(nodes, used, condemned) || metadataPacks.some((ulid) => condemned.touches(ulid))) {
    // W2.b.
    return 'own-slots';
  }
  // W2.c.
  const parentStands =
    parent === undefined ||
    ((await points.exists(parent, signal)) && (await points.standing(parent, signal)) === 'stands');
  return parentStands || !(await inheritsAny(nodes, roots, condemned, signal))
    ? 'none'
    : 'parent-gone';
}

function usesAny({ base }: MapNodes, used: SlotBitmap, condemned: SlotSet): boolean {
  for (const pack of used.packs()) {
    const { ulid } = base.numbers.name(pack);
    if (!condemned.touches(ulid)) {
      continue;
    }
    for (const slot of used.slots(pack)) {
      if (condemned.has(ulid, slot)) {
        return true;
      }
    }
  }
  return false;
}

/** Walks all maps of the point. Rare: only if the parent was given up during the backup. */
async function inheritsAny(
  nodes: MapNodes,
  roots: readonly MapRoot[],
  condemned: SlotSet,
  signal: AbortSignal,
): Promise<boolean> {
  for (const root of roots) {
    for await (const { pack, slot } of new MapTree(nodes, root).slots(signal)) {
      if (condemned.has(nodes.base.numbers.name(pack).ulid, slot)) {
        return true;
      }
    }
  }
  return false;
}
