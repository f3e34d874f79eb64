import { packChunks, type PackedChunks, type PlacedChunk } from '../chunks/packed-chunks.ts';
import type { Fragment } from '../maps/leaf-fragments.ts';
import { LEAF_SECTORS } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import type { PackNumbers } from '../packs/pack-numbers.ts';
import type { SlotLookup } from '../slots/slot-set.ts';
import type { Piece } from '../tasks/store-task.ts';
import type { Healing } from './healing.ts';
import type { StorePlan } from './store-plan.ts';

/** What decides whether a slot can be kept. */
interface SlotRules {
  readonly numbers: PackNumbers;
  /** Slots that must not be used again. */
  readonly excluded: SlotLookup;
  readonly healing: Healing | undefined;
}

/**
 * Finds the slots that the last map uses whole: their content is compared in place, wherever the
 * cuts are now (docs/vault-format.md, section 9). Lost ones are cut the same way, so that what is
 * stored anew has their ids.
 */
export class KnownSlots {
  readonly #plan: StorePlan;
  readonly #rules: SlotRules;
  #lastLeaf: { readonly index: number; readonly fragments: readonly Fragment[] } | undefined;

  constructor(plan: StorePlan, rules: SlotRules) {
    this.#plan = plan;
    this.#rules = rules;
  }

  /** Returns the slots whose content lies in these pieces, ascending like them. */
  async within(pieces: readonly Piece[], signal: AbortSignal): Promise<PackedChunks> {
    const { last, incremental } = this.#plan;
    const known: PlacedChunk[] = [];
    // What an incremental backup reads has changed, or was lost.
    if (last === undefined || (incremental && this.#rules.healing?.knowsNoDamage !== false)) {
      return packChunks(known);
    }
    for (const piece of pieces) {
      const leaf = Math.floor(piece.start / LEAF_SECTORS);
      const base = leaf * LEAF_SECTORS;
      const fragments = await this.#leaf(last, leaf, signal);
      const end = piece.start + piece.sectors - base;
      for (let index = firstFrom(fragments, piece.start - base); ; index++) {
        const fragment = fragments[index];
        if (fragment === undefined || fragment.start + fragment.sectors > end) {
          break;
        }
        const use = this.#useOf(fragment);
        if (use !== 'none') {
          const { start, sectors, pack, slot, id } = fragment;
          const isLost = use === 'store-anew';
          known.push({ start: start + base, sectors, pack, slot, id, isLost });
        }
      }
    }
    return packChunks(known);
  }

  /** Decides what to do with a slot whose content is unchanged. */
  #useOf(fragment: Fragment): 'keep' | 'store-anew' | 'none' {
    const { pack, slot, first, sectors, slotSectors } = fragment;
    const { numbers, excluded, healing } = this.#rules;
    if (first > 0 || sectors < slotSectors) {
      return 'none';
    }
    if (healing?.isLost(fragment) === true) {
      return 'store-anew';
    }
    const isKept = !this.#plan.incremental && !excluded.has(numbers.name(pack).ulid, slot);
    return isKept ? 'keep' : 'none';
  }

  /** Batches of one leaf follow each other, so the last one is kept. */
  async #leaf(tree: MapTree, index: number, signal: AbortSignal): Promise<readonly Fragment[]> {
    if (this.#lastLeaf?.index === index) {
      return this.#lastLeaf.fragments;
    }
    const fragments = await tree.leaf(index, signal);
    this.#lastLeaf = { index, fragments };
    return fragments;
  }
}

/** Returns the index of the first fragment that begins at `start` or later. */
function firstFrom(fragments: readonly Fragment[], start: number): number {
  let [low, high] = [0, fragments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((fragments[middle]?.start ?? Infinity) < start) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
