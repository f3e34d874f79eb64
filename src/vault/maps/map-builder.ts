import assert from 'node:assert/strict';
import {
  collapseFragments,
  contentMac,
  cutOut,
  type Fragment,
  type SectorRange,
} from './leaf-fragments.ts';
import {
  decodeLeaf,
  depthFor,
  encodeInner,
  encodeLeaf,
  FAN_OUT,
  LEAF_SECTORS,
  leafCount,
  type Inner,
  type MapExtent,
  type NodePointer,
} from './map-node.ts';
import type { MapNodes, MapRoot, MapTree } from './map-tree.ts';
import { sameBytes } from '../keys/key-tree.ts';
import type { MetadataWriter } from './metadata-writer.ts';
import type { BuiltOn } from './built-on.ts';

/** Nodes of earlier maps that are damaged and to be stored again. */
interface LostNodes {
  isLost(node: NodePointer): boolean;
  /** @param mac content MAC of the node */
  stored(mac: Uint8Array, node: NodePointer): void;
}

export interface MapBuilderParts {
  readonly nodes: MapNodes;
  readonly metadata: MetadataWriter;
  readonly sizeBytes: number;
  /** The map to keep where nothing is covered. Without it those parts are zero. */
  readonly inherited?: MapTree;
  /** A map whose nodes are reused if they turn out equal. */
  readonly similar?: MapTree;
  /** Filled with what the map refers to and was there before. */
  readonly builtOn: BuiltOn;
  /** Damage in the vault: lost nodes are rewritten. */
  readonly healing?: LostNodes;
}

/**
 * Builds the map of a disk from fragments in ascending order. Writes only covered leaves and the
 * inner nodes above them.
 */
export class MapBuilder {
  readonly #parts: MapBuilderParts;
  readonly #leaves = new Map<number, NodePointer | undefined>();
  #current = -1;
  #ranges: SectorRange[] = [];
  #fragments: Fragment[] = [];

  constructor(parts: MapBuilderParts) {
    this.#parts = parts;
  }

  /**
   * Says that the sectors [from, to) of the disk hold exactly these fragments, and zeroes
   * elsewhere.
   * @param fragments ascending; `start` counts from the start of the disk
   */
  async cover(
    range: SectorRange,
    fragments: readonly Fragment[],
    signal: AbortSignal,
  ): Promise<void> {
    let next = 0;
    for (let from = range.from; from < range.to;) {
      const leaf = Math.floor(from / LEAF_SECTORS);
      const base = leaf * LEAF_SECTORS;
      const to = Math.min(range.to, base + LEAF_SECTORS);
      if (leaf !== this.#current) {
        await this.#closeLeaf(signal);
        this.#current = leaf;
      }
      this.#ranges.push({ from: from - base, to: to - base });
      for (; (fragments[next]?.start ?? Infinity) < to; next++) {
        const fragment = fragments[next];
        if (fragment !== undefined) {
          this.#fragments.push({ ...fragment, start: fragment.start - base });
        }
      }
      from = to;
    }
  }

  /** Returns the finished map. Its nodes are in the vault once the metadata writer has finished. */
  async finish(signal: AbortSignal): Promise<MapRoot> {
    await this.#closeLeaf(signal);
    const { sizeBytes } = this.#parts;
    const depth = depthFor(sizeBytes);
    const pointer = await this.#node({ level: depth, index: 0 }, this.#dirty(depth), signal);
    return { sizeBytes, depth, ...(pointer === undefined ? {} : { pointer }) };
  }

  async #closeLeaf(signal: AbortSignal): Promise<void> {
    const index = this.#current;
    if (index < 0) {
      return;
    }
    const [ranges, fresh] = [this.#ranges, this.#fragments];
    [this.#ranges, this.#fragments, this.#current] = [[], [], -1];
    const covered = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    const { inherited, nodes } = this.#parts;
    const old = covered < LEAF_SECTORS && inherited ? await inherited.leaf(index, signal) : [];
    const fragments = [...cutOut(old, ranges), ...fresh].sort((a, b) => a.start - b.start);
    if (fragments.length === 0) {
      this.#leaves.set(index, undefined);
      return;
    }
    for (const { pack } of fragments) {
      this.#parts.builtOn.data.add(pack);
    }
    const mac = contentMac(nodes.base.keys.purpose('map'), fragments);
    const leaf = { contentMac: mac, extents: collapseFragments(fragments) };
    const node = encodeLeaf(leaf, nodes.base.numbers);
    assertReadsBack(leaf.extents, decodeLeaf(node, nodes.base.numbers).extents);
    this.#leaves.set(index, await this.#write({ level: 0, index }, node, signal));
  }

  /** Returns, by level, the nodes to be written and which of their children changed. */
  #dirty(depth: number): Map<number, Set<number>>[] {
    const changed = new Set(this.#leaves.keys());
    const { inherited, sizeBytes } = this.#parts;
    const count = leafCount(sizeBytes);
    if (inherited !== undefined && leafCount(inherited.root.sizeBytes) > count) {
      changed.add(count - 1);
    }
    const levels = [new Map<number, Set<number>>()];
    let below: Iterable<number> = changed;
    for (let level = 1; level <= depth; level++) {
      const parents = new Map<number, Set<number>>();
      for (const child of below) {
        const parent = Math.floor(child / FAN_OUT);
        parents.set(parent, (parents.get(parent) ?? new Set()).add(child));
      }
      if (inherited !== undefined && level > inherited.root.depth) {
        parents.set(0, (parents.get(0) ?? new Set()).add(0));
      }
      levels.push(parents);
      below = parents.keys();
    }
    return levels;
  }

  async #node(
    { level, index }: NodePosition,
    dirty: readonly Map<number, Set<number>>[],
    signal: AbortSignal,
  ): Promise<NodePointer | undefined> {
    const { sizeBytes, nodes, builtOn } = this.#parts;
    if (level === 0) {
      return this.#leaves.has(index)
        ? this.#leaves.get(index)
        : this.#inherit({ level, index }, signal);
    }
    const changed = dirty[level]?.get(index);
    if (changed === undefined) {
      return this.#inherit({ level, index }, signal);
    }
    const children = new Map<number, NodePointer>();
    for (const [child, pointer] of await this.#inheritedChildren({ level, index }, signal)) {
      const start = (index * FAN_OUT + child) * FAN_OUT ** (level - 1);
      if (start < leafCount(sizeBytes)) {
        children.set(child, pointer);
        builtOn.siblings.add(pointer.pack);
      }
    }
    for (const child of changed) {
      const pointer = await this.#node({ level: level - 1, index: child }, dirty, signal);
      children.delete(child % FAN_OUT);
      if (pointer !== undefined) {
        children.set(child % FAN_OUT, pointer);
      }
    }
    if (children.size === 0) {
      return undefined;
    }
    return this.#write({ level, index }, encodeInner(level, children, nodes.base.numbers), signal);
  }

  async #inherit(
    { level, index }: NodePosition,
    signal: AbortSignal,
  ): Promise<NodePointer | undefined> {
    const { inherited, builtOn } = this.#parts;
    const pointer = await inherited?.pointer(level, index, signal);
    if (pointer !== undefined) {
      builtOn.nodes.add(pointer.pack);
    }
    return pointer;
  }

  async #inheritedChildren({ level, index }: NodePosition, signal: AbortSignal): Promise<Inner> {
    const { inherited, nodes } = this.#parts;
    if (inherited === undefined || level > inherited.root.depth) {
      return new Map();
    }
    const pointer = await inherited.pointer(level, index, signal);
    return pointer === undefined ? new Map() : nodes.inner(pointer, level, signal);
  }

  async #write(
    { level, index }: NodePosition,
    node: Uint8Array,
    signal: AbortSignal,
  ): Promise<NodePointer> {
    const { inherited, similar, nodes, metadata, builtOn, healing } = this.#parts;
    const same = await (inherited ?? similar)?.pointer(level, index, signal);
    const isSame = same !== undefined && sameBytes(same.mac, nodes.base.keys.mac16('map', node));
    if (isSame && healing?.isLost(same) !== true) {
      builtOn.nodes.add(same.pack);
      return same;
    }
    const pointer = await metadata.add(node, signal);
    healing?.stored(pointer.mac, pointer);
    return pointer;
  }
}

/** Decodes what was written: a map that cannot be read again must never be stored. */
function assertReadsBack(written: readonly MapExtent[], read: readonly MapExtent[]): void {
  const isSame =
    written.length === read.length &&
    written.every((extent, index) => {
      const other = read[index];
      return (
        extent.start === other?.start &&
        extent.sectors === other.sectors &&
        extent.pack === other.pack &&
        extent.slot === other.slot &&
        extent.first === other.first
      );
    });
  assert(isSame, 'a leaf does not read back as it was written');
}

interface NodePosition {
  readonly level: number;
  readonly index: number;
}
