import { isFault } from '../../kernel/fault.ts';
import type { Aliases } from '../aliases.ts';
import { ExtentExpansion } from '../leaf-fragments.ts';
import type { MapExtent, NodePointer } from '../map-node.ts';
import type { MapNodes } from '../map-tree.ts';
import type { PackFooter } from '../pack-layout.ts';
import { packKey } from '../layout.ts';
import { Parallel } from '../parallel.ts';
import { mapRoot, nodePointer } from '../point-maps.ts';
import type { PointDocument } from '../point-object.ts';
import type { Ulid } from '../ulid.ts';
import { LiveSlots } from './live-slots.ts';
import { SlotLinks } from './slot-links.ts';

const LEAVES_AT_ONCE = 16;

/**
 * Marks what points need: nodes of their maps, files, data. Every node is visited once, whichever
 * points share it. When marking a point throws, some of its nodes count as visited and are not: then
 * this marking is worth nothing.
 */
export class Marking {
  readonly live = new LiveSlots();
  readonly links: SlotLinks;
  readonly #nodes: MapNodes;
  readonly #signal: AbortSignal;
  readonly #handles: number[] = [];
  /** Objects with damage; all of their slots count as needed. */
  readonly damaged = new Set<string>();
  /** Nodes visited, for those who report. */
  nodeCount = 0;

  constructor(nodes: MapNodes, aliases: Aliases, signal: AbortSignal) {
    this.#nodes = nodes;
    this.links = new SlotLinks(aliases);
    this.#signal = signal;
  }

  /** @throws Fault `vault.map-corrupt` and what else keeps a map from being read whole */
  async point(document: PointDocument): Promise<void> {
    const { numbers } = this.#nodes.base;
    for (const { slots } of document.files) {
      for (const slot of slots) {
        await this.#node(nodePointer(slot, numbers));
      }
    }
    const leaves = new Parallel(LEAVES_AT_ONCE);
    try {
      for (const disk of document.disks) {
        const { pointer, depth } = mapRoot(disk, numbers);
        if (pointer !== undefined) {
          await this.#walk(pointer, depth, leaves);
        }
      }
      await leaves.end();
    } finally {
      await leaves.settle();
    }
  }

  async #walk(pointer: NodePointer, level: number, leaves: Parallel): Promise<void> {
    if (!(await this.#node(pointer))) {
      return;
    }
    if (level === 0) {
      await leaves.add(async () => this.#leaf(pointer));
      return;
    }
    const children = await this.#nodes.inner(pointer, level, this.#signal);
    for (const child of children.values()) {
      await this.#walk(child, level - 1, leaves);
    }
  }

  /** @returns false if the node was visited before */
  async #node({ pack, slot }: NodePointer): Promise<boolean> {
    const handle = this.#handle(pack);
    if (this.live.has(handle, slot)) {
      return false;
    }
    this.nodeCount += 1;
    this.#add(handle, slot, 0);
    return true;
  }

  async #leaf(pointer: NodePointer): Promise<void> {
    const { extents } = await this.#nodes.leaf(pointer, this.#signal);
    for (const extent of extents) {
      const footer = await this.#footer(extent.pack);
      if (footer === undefined || !this.#extent(extent, footer)) {
        await this.#scattered(extent);
      }
    }
  }

  /** @returns false if the pack, as it is now, does not have all of it */
  #extent({ pack, slot, first, sectors }: MapExtent, footer: PackFooter): boolean {
    const handle = this.#handle(pack);
    const end = first + sectors;
    for (let at = slot, sector = 0; sector < end; at++) {
      const size = footer.size(at);
      if (size === 0) {
        return false;
      }
      this.#add(handle, at, footer.slots);
      sector += size;
    }
    return true;
  }

  /** Slot by slot, under whatever names they have now. */
  async #scattered(extent: MapExtent): Promise<void> {
    const expanding = new ExtentExpansion(extent);
    while (!expanding.done) {
      const { pack, slot } = expanding.next;
      try {
        const placed = await this.#nodes.packs.place({ pack, slot }, this.#signal);
        this.#add(this.#handle(pack), slot, 0);
        this.#add(this.#handle(placed.pack), placed.slot, 0);
        expanding.take(placed, placed.open.footer);
      } catch (error) {
        if (!isFault(error) || error.kind !== 'integrity') {
          throw error;
        }
        // How far the extent reaches is not known: all of the pack may be needed, under all names.
        this.#everything(pack);
        return;
      }
    }
  }

  async #footer(pack: number): Promise<PackFooter | undefined> {
    try {
      return (await this.#nodes.packs.open(pack, this.#signal)).footer;
    } catch (error) {
      if (!isFault(error) || error.kind !== 'integrity') {
        throw error;
      }
      // Merged into another pack, or lost; #scattered finds out.
      return undefined;
    }
  }

  #everything(pack: number): void {
    const name = this.#nodes.base.numbers.name(pack);
    this.damaged.add(packKey(name));
    for (const { first, count } of this.links.linked(name.ulid)) {
      for (let slot = first; slot < first + count; slot++) {
        this.#linked(name.ulid, slot);
      }
    }
    this.live.addAll(this.#handle(pack));
  }

  #add(handle: number, slot: number, slots: number): void {
    if (this.live.add(handle, slot, slots)) {
      this.#linked(this.live.ulid(handle), slot);
    }
  }

  #linked(ulid: Ulid, slot: number): void {
    if (this.links.touches(ulid)) {
      for (const other of this.links.names({ ulid, slot })) {
        this.live.add(this.live.handle(other.ulid), other.slot);
      }
    }
  }

  /** Handles by pack number: a leaf asks for the same pack again and again. */
  #handle(pack: number): number {
    return (this.#handles[pack] ??= this.live.handle(this.#nodes.base.numbers.name(pack).ulid));
  }
}
