import type { Aliases } from '../../packs/aliases.ts';
import { packKey } from '../../format/object-names.ts';
import type { MapNodes } from '../../maps/map-tree.ts';
import type { SlotReference } from '../../packs/open-pack.ts';
import type { PointDocument } from '../../points/point-object.ts';
import { grownCapacity } from '../../bytes/ulid-table.ts';
import { LiveSlots } from '../slots/live-slots.ts';
import { walkPoint, type MapVisitor } from '../../points/map-walk.ts';
import { SlotLinks } from '../slots/slot-links.ts';

/** Which share of a vault is marked. */
export interface MarkingRules {
  /** Place where the share begins: packs before it are done. Default 0. */
  readonly from?: number;
  /** Limit for the bits of data packs. Default: no limit. */
  readonly bytesMax?: number;
}

/**
 * Marks what points need: nodes of their maps, files, data. Visits every node once, however many
 * points share it. A limit on memory limits the data packs to a share; metadata packs are always
 * all known. When `point` throws, some nodes count as visited that were not: discard the marking
 * then.
 */
export class Marking {
  readonly live: LiveSlots;
  readonly links: SlotLinks;
  readonly #nodes: MapNodes;
  readonly #signal: AbortSignal;
  /** By pack number: the handle, plus one. */
  #handles = new Int32Array(grownCapacity(0));
  /** Objects with damage; all of their slots count as needed (G0.g). */
  readonly damaged = new Set<string>();
  /** How many nodes were visited, for progress reports. */
  nodeCount = 0;

  constructor(nodes: MapNodes, aliases: Aliases, signal: AbortSignal, rules: MarkingRules = {}) {
    this.#nodes = nodes;
    this.links = new SlotLinks(aliases);
    this.live = new LiveSlots({ ...rules, together: (pack) => this.links.together(pack) });
    this.#signal = signal;
  }

  /** Memory that the marks take, in bytes. */
  get bytes(): number {
    return this.live.bytes + this.#handles.byteLength;
  }

  /**
   * Marks one point.
   * @throws Fault `vault.map-corrupt` and whatever else keeps the map from being read whole
   */
  async point(document: PointDocument): Promise<void> {
    const visitor: MapVisitor = {
      node: (node) => {
        const isNew = this.#add(node);
        this.nodeCount += isNew ? 1 : 0;
        return isNew;
      },
      data: (slot, place) => {
        const isElsewhere = place.pack !== slot.pack;
        this.#add(slot, isElsewhere ? 0 : place.footer.slots);
        if (isElsewhere) {
          this.#add(place, place.footer.slots);
        }
      },
      unknown: (pack) => {
        this.#everything(pack);
      },
    };
    await walkPoint(this.#nodes, document, visitor, this.#signal);
  }

  /** Marks the whole pack, under all names, because any of it may be needed. */
  #everything(pack: number): void {
    const name = this.#nodes.base.numbers.name(pack);
    this.damaged.add(packKey(name));
    for (const { first, count } of this.links.linked(name.ulid)) {
      for (let slot = first; slot < first + count; slot++) {
        this.#linked({ pack, slot });
      }
    }
    this.live.addAll(this.#handle(pack));
  }

  #add({ pack, slot }: SlotReference, slots = 0): boolean {
    const isNew = this.live.add(this.#handle(pack), slot, slots);
    if (isNew) {
      this.#linked({ pack, slot });
    }
    return isNew;
  }

  #linked({ pack, slot }: SlotReference): void {
    const { ulid, kind } = this.#nodes.base.numbers.name(pack);
    if (this.links.touches(ulid)) {
      for (const other of this.links.names({ ulid, slot })) {
        this.live.add(this.live.handle(other.ulid, kind === 'metadata'), other.slot);
      }
    }
  }

  /** Cached by pack number: a leaf asks for the same pack again and again. */
  #handle(pack: number): number {
    const known = this.#handles[pack] ?? 0;
    if (known > 0) {
      return known - 1;
    }
    const { ulid, kind } = this.#nodes.base.numbers.name(pack);
    const handle = this.live.handle(ulid, kind === 'metadata');
    if (pack >= this.#handles.length) {
      const larger = new Int32Array(grownCapacity(pack));
      larger.set(this.#handles);
      this.#handles = larger;
    }
    this.#handles[pack] = handle + 1;
    return handle;
  }
}
