import type { Aliases } from '../aliases.ts';
import { packKey } from '../layout.ts';
import type { MapNodes } from '../map-tree.ts';
import type { SlotReference } from '../packs.ts';
import type { PointDocument } from '../point-object.ts';
import { LiveSlots } from './live-slots.ts';
import { walkPoint, type MapVisitor } from './map-walk.ts';
import { SlotLinks } from './slot-links.ts';

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

  /** All of a pack may be needed, under all names. */
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
    const { ulid } = this.#nodes.base.numbers.name(pack);
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
