import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { Fault, integrityOrThrow } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { Shared } from '../../kernel/waiting/shared.ts';
import { parseOr, demand } from '../bytes/binary.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import { sameBytes } from '../keys/key-tree.ts';
import {
  contentMac,
  expandExtents,
  ExtentExpansion,
  hasAll,
  type Fragment,
} from './leaf-fragments.ts';
import {
  decodeInner,
  decodeLeaf,
  FAN_OUT,
  type Inner,
  type Leaf,
  leafCount,
  type MapExtent,
  type NodePointer,
} from './map-node.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import type { OpenPack } from '../packs/open-pack.ts';
import { Packs } from '../packs/packs.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import { Lru } from '../../kernel/memory/lru.ts';

const NODES_BYTES_MAX = 32 * 1024 * 1024;
const WALK_BYTES_MAX = 16 * 1024 * 1024;
/** Limit for raw frames of metadata packs in memory: neighbours in a map lie in one frame. */
const FRAMES_BYTES_MAX = 8 * 1024 * 1024;
/** Footers fetched at once for one leaf. */
const FOOTERS_AT_ONCE = 16;

/** The root of a disk's map. Without a pointer the whole disk is zero. */
export interface MapRoot {
  readonly sizeBytes: number;
  readonly depth: number;
  readonly pointer?: NodePointer;
}

/** Reads nodes of maps, and proves each by the MAC in its pointer. */
export class MapNodes {
  readonly base: VaultBase;
  readonly packs: Packs;
  readonly #recent: Lru<string, Uint8Array>;
  readonly #frames = new Lru<string, Uint8Array>(FRAMES_BYTES_MAX);
  /** Several nodes of a frame are often read at once. */
  readonly #reading = new Shared<string, Uint8Array>();

  constructor(base: VaultBase, packs: Packs, nodesBytesMax = NODES_BYTES_MAX) {
    this.base = base;
    this.packs = packs;
    this.#recent = new Lru(nodesBytesMax);
  }

  /** For walks over all points: keeps little, because each node is read once. */
  static forWalk({
    base,
    cache,
    log,
  }: {
    readonly base: VaultBase;
    readonly cache?: FooterCache;
    readonly log: Log;
  }): MapNodes {
    return new MapNodes(base, new Packs(base, cache, log, WALK_BYTES_MAX), WALK_BYTES_MAX);
  }

  /** Keeps a node that this process made and that may not be in the vault yet. */
  keep(pointer: NodePointer, node: Uint8Array): void {
    this.#recent.set(name(pointer), node, node.length + 100);
  }

  async read(pointer: NodePointer, signal: AbortSignal): Promise<Uint8Array> {
    const known = this.#recent.get(name(pointer));
    if (known !== undefined) {
      return known;
    }
    const node = await this.packs.withSlot(pointer, signal, async ({ open, slot }) => {
      const raw = await this.#frame(open, slot, signal);
      const offset = open.footer.offsetOf[slot] ?? 0;
      // A copy, because a view would keep the whole frame in memory.
      const copy = Uint8Array.from(raw.subarray(offset, offset + open.footer.size(slot)));
      if (!sameBytes(this.base.keys.mac16('map', copy), pointer.mac)) {
        throw damaged(open.objectKey, 'a node is not the one its parent names');
      }
      return copy;
    });
    this.keep(pointer, node);
    return node;
  }

  async #frame(open: OpenPack, slot: number, signal: AbortSignal): Promise<Uint8Array> {
    const index = open.footer.frameOf[slot] ?? -1;
    const where = `${open.objectKey}/${index}`;
    const known = this.#frames.get(where);
    if (known !== undefined) {
      return known;
    }
    const frame = open.footer.frames[index];
    if (frame === undefined) {
      throw damaged(open.objectKey, 'a node is missing in its pack');
    }
    return this.#reading.do(where, signal, async (reading) => {
      const raw = await this.packs.frame(open, frame, reading);
      this.#frames.set(where, raw, raw.length);
      return raw;
    });
  }

  async inner(pointer: NodePointer, level: number, signal: AbortSignal): Promise<Inner> {
    const node = await this.read(pointer, signal);
    return this.#parse(pointer, () => decodeInner(node, level, this.base.numbers));
  }

  async leaf(pointer: NodePointer, signal: AbortSignal): Promise<Leaf> {
    const node = await this.read(pointer, signal);
    return this.#parse(pointer, () => decodeLeaf(node, this.base.numbers));
  }

  /** Returns the slots of a leaf, whose footers prove the leaf's content MAC. */
  async fragments(pointer: NodePointer, signal: AbortSignal): Promise<Fragment[]> {
    const leaf = await this.leaf(pointer, signal);
    const fragments = await this.#expand(pointer, leaf, signal);
    return this.#parse(pointer, () => {
      const mac = contentMac(this.base.keys.purpose('map'), fragments);
      demand(sameBytes(mac, leaf.contentMac), 'its packs do not hold what it was made of');
      return fragments;
    });
  }

  async #expand(pointer: NodePointer, leaf: Leaf, signal: AbortSignal): Promise<Fragment[]> {
    const footers = await this.#footers(leaf, signal);
    if (leaf.extents.every((extent) => hasAll(extent, footers.get(extent.pack)))) {
      return this.#parse(pointer, () => expandExtents(leaf.extents, footers));
    }
    // Some packs were merged into others or are lost: looks for each slot.
    const fragments: Fragment[] = [];
    for (const extent of leaf.extents) {
      const expanding = new ExtentExpansion(extent);
      while (!expanding.done) {
        const placed = await this.packs.place(expanding.next, signal);
        this.#parse(pointer, () => {
          fragments.push(expanding.take(placed, placed.open.footer));
        });
      }
    }
    return fragments;
  }

  /** Returns the footers of the packs of a leaf that are there. */
  async #footers(leaf: Leaf, signal: AbortSignal): Promise<Map<number, PackFooter>> {
    const footers = new Map<number, PackFooter>();
    const needed = new Set(leaf.extents.map(({ pack }) => pack));
    await mapAtOnce(needed, FOOTERS_AT_ONCE, async (pack) => {
      try {
        footers.set(pack, (await this.packs.open(pack, signal)).footer);
      } catch (error) {
        integrityOrThrow(error);
        // The slots may be elsewhere; if they are not, the fault comes again.
      }
    });
    return footers;
  }

  #parse<T>(pointer: NodePointer, parse: () => T): T {
    const { ulid } = this.base.numbers.name(pointer.pack);
    return parseOr((why, cause) => damaged(`${ulid}/${pointer.slot}`, why, cause), parse);
  }
}

/** The map of one disk in a point. */
export class MapTree {
  readonly nodes: MapNodes;
  readonly root: MapRoot;

  constructor(nodes: MapNodes, root: MapRoot) {
    this.nodes = nodes;
    this.root = root;
  }

  /**
   * Returns the pointer to the node that covers leaf-aligned range `index` at `level`; undefined
   * outside of the tree, and for ranges that are zero.
   */
  async pointer(
    level: number,
    index: number,
    signal: AbortSignal,
  ): Promise<NodePointer | undefined> {
    const { depth, pointer } = this.root;
    if (level >= depth) {
      return level === depth && index === 0 ? pointer : undefined;
    }
    const parent = await this.pointer(level + 1, Math.floor(index / FAN_OUT), signal);
    return parent && (await this.nodes.inner(parent, level + 1, signal)).get(index % FAN_OUT);
  }

  async leaf(index: number, signal: AbortSignal): Promise<Fragment[]> {
    const pointer = await this.pointer(0, index, signal);
    return pointer === undefined ? [] : this.nodes.fragments(pointer, signal);
  }

  /** Returns where a leaf has content, without asking packs of data. */
  async extents(index: number, signal: AbortSignal): Promise<readonly MapExtent[]> {
    const pointer = await this.pointer(0, index, signal);
    return pointer === undefined ? [] : (await this.nodes.leaf(pointer, signal)).extents;
  }

  /** Yields the leaves that are not all zero, ascending. */
  async *leaves(
    signal: AbortSignal,
    first = 0,
    end = leafCount(this.root.sizeBytes),
  ): AsyncIterable<{ index: number; pointer: NodePointer }> {
    const { depth, pointer } = this.root;
    if (pointer !== undefined) {
      yield* this.#walk({ pointer, level: depth, index: 0 }, { first, end }, signal);
    }
  }

  /** Yields pointers to all nodes of the map. */
  async *nodePointers(signal: AbortSignal): AsyncIterable<NodePointer> {
    const { depth, pointer } = this.root;
    let level = pointer === undefined ? [] : [pointer];
    for (let height = depth; level.length > 0; height--) {
      yield* level;
      const below: NodePointer[] = [];
      for (const node of height > 0 ? level : []) {
        below.push(...(await this.nodes.inner(node, height, signal)).values());
      }
      level = below;
    }
  }

  /**
   * Yields all slots that the map needs: those of its nodes, and those of the data under all names
   * that the walk met.
   */
  async *slots(signal: AbortSignal): AsyncIterable<{ pack: number; slot: number }> {
    yield* this.nodePointers(signal);
    for await (const { pointer } of this.leaves(signal)) {
      for (const fragment of await this.nodes.fragments(pointer, signal)) {
        yield fragment;
        if (fragment.via !== undefined) {
          yield fragment.via;
        }
      }
    }
  }

  async *#walk(
    node: { pointer: NodePointer; level: number; index: number },
    range: { first: number; end: number },
    signal: AbortSignal,
  ): AsyncIterable<{ index: number; pointer: NodePointer }> {
    const { pointer, level, index } = node;
    if (level === 0) {
      if (index < leafCount(this.root.sizeBytes)) {
        yield { index, pointer };
      }
      return;
    }
    const span = FAN_OUT ** (level - 1);
    const children = await this.nodes.inner(pointer, level, signal);
    for (const [child, childPointer] of children) {
      const childIndex = index * FAN_OUT + child;
      if ((childIndex + 1) * span > range.first && childIndex * span < range.end) {
        const next = { pointer: childPointer, level: level - 1, index: childIndex };
        yield* this.#walk(next, range, signal);
      }
    }
  }
}

function name({ pack, slot, mac }: NodePointer): string {
  return `${pack}/${slot}/${mac.toString('hex')}`;
}

function damaged(where: string, why: string, cause?: unknown): Fault {
  return new Fault(
    'vault.map-corrupt',
    `A map node in ${where} is damaged: ${why}. The point cannot be restored whole; earlier and later points may be unharmed, verify tells.`,
    { where },
    { cause },
  );
}
