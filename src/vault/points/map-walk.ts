import { integrityOrThrow } from '../../kernel/fault.ts';
import { ExtentExpansion } from '../maps/leaf-fragments.ts';
import type { MapExtent, NodePointer } from '../maps/map-node.ts';
import type { MapNodes } from '../maps/map-tree.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import type { SlotReference } from '../packs/open-pack.ts';
import { Parallel } from '../../kernel/waiting/parallel.ts';
import { mapRoot, nodePointer } from './point-maps.ts';
import type { PointDocument } from './point-object.ts';

const LEAVES_AT_ONCE = 16;

/** Where a slot of data was found: usually under the name that the map knows. */
export interface DataPlace extends SlotReference {
  readonly footer: PackFooter;
}

/** What a walk reports. */
export interface MapVisitor {
  /** Called with a node, or a piece of a file. @returns whether to walk what is below */
  readonly node: (node: SlotReference) => boolean;
  /** Called with a slot of data, by the name that the map knows, and with its place now. */
  readonly data: (slot: SlotReference, place: DataPlace) => void;
  /** Called with a damaged or lost pack: how far an extent reaches in it cannot be known. */
  readonly unknown: (pack: number) => void;
}

/**
 * Walks a point: files, nodes, data. Several leaves are read at once, so the order is not defined.
 * @throws Fault `vault.map-corrupt` and whatever else keeps the map from being read whole
 */
export async function walkPoint(
  nodes: MapNodes,
  document: PointDocument,
  visitor: MapVisitor,
  signal: AbortSignal,
): Promise<void> {
  const { numbers } = nodes.base;
  for (const slot of document.files.flatMap(({ slots }) => slots)) {
    visitor.node(nodePointer(slot, numbers));
  }
  const walk = new MapWalk(nodes, visitor, signal);
  try {
    for (const disk of document.disks) {
      const { pointer, depth } = mapRoot(disk, numbers);
      if (pointer !== undefined) {
        await walk.down(pointer, depth);
      }
    }
    await walk.leaves.end();
  } finally {
    await walk.leaves.settle();
  }
}

class MapWalk {
  readonly leaves = new Parallel(LEAVES_AT_ONCE);
  readonly #nodes: MapNodes;
  readonly #visitor: MapVisitor;
  readonly #signal: AbortSignal;

  constructor(nodes: MapNodes, visitor: MapVisitor, signal: AbortSignal) {
    this.#nodes = nodes;
    this.#visitor = visitor;
    this.#signal = signal;
  }

  async down(pointer: NodePointer, level: number): Promise<void> {
    if (!this.#visitor.node(pointer)) {
      return;
    }
    if (level === 0) {
      await this.leaves.add(async () => this.#leaf(pointer));
      return;
    }
    const children = await this.#nodes.inner(pointer, level, this.#signal);
    for (const child of children.values()) {
      await this.down(child, level - 1);
    }
  }

  async #leaf(pointer: NodePointer): Promise<void> {
    const { extents } = await this.#nodes.leaf(pointer, this.#signal);
    let last: number | undefined;
    let footer: PackFooter | undefined;
    for (const extent of extents) {
      if (extent.pack !== last) {
        footer = await this.#footer(extent.pack);
        last = extent.pack;
      }
      if (footer === undefined || !this.#extent(extent, footer)) {
        await this.#scattered(extent);
      }
    }
  }

  /** @returns false if the pack no longer has the whole extent */
  #extent({ pack, slot, first, sectors }: MapExtent, footer: PackFooter): boolean {
    const end = first + sectors;
    for (let at = slot, sector = 0; sector < end; at++) {
      const size = footer.size(at);
      if (size === 0) {
        return false;
      }
      const reference = { pack, slot: at };
      this.#visitor.data(reference, { ...reference, footer });
      sector += size;
    }
    return true;
  }

  /** Finds each slot of the extent under the name it has now. */
  async #scattered(extent: MapExtent): Promise<void> {
    const expanding = new ExtentExpansion(extent);
    while (!expanding.done) {
      const slot = expanding.next;
      try {
        const found = await this.#nodes.packs.place(slot, this.#signal);
        const { footer } = found.open;
        this.#visitor.data(slot, { pack: found.pack, slot: found.slot, footer });
        expanding.take(found, footer);
      } catch (error) {
        integrityOrThrow(error);
        this.#visitor.unknown(slot.pack);
        return;
      }
    }
  }

  async #footer(pack: number): Promise<PackFooter | undefined> {
    try {
      return (await this.#nodes.packs.open(pack, this.#signal)).footer;
    } catch (error) {
      // The pack was merged into another or is lost; `#scattered` finds out which.
      integrityOrThrow(error);
      return undefined;
    }
  }
}
