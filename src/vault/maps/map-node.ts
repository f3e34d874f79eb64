import { ByteReader, ByteWriter, demand } from '../bytes/binary.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { MAC_BYTES } from '../keys/key-tree.ts';
import type { PackKind, PackName } from '../format/object-names.ts';
import {
  GENERATION_MAX,
  LEAF_EXTENTS_MAX,
  LEAF_PACKS_MAX,
  NODE_CHILDREN_MAX,
  SLOTS_MAX,
} from '../format/limits.ts';
import type { PackNumbers } from '../packs/pack-numbers.ts';
import { ulidBytes, ulidText } from '../bytes/ulid.ts';

/** Nodes of the map of a disk: docs/vault-format.md, section 7. */

export const LEAF_SECTORS = 16_384;
export const LEAF_BYTES = LEAF_SECTORS * SECTOR_BYTES;
export const FAN_OUT = 256;
const LEAF_TYPE = 1;
const INNER_TYPE = 2;

/** Where a node is, and its MAC. */
export interface NodePointer {
  /** Number of its metadata pack. */
  readonly pack: number;
  readonly slot: number;
  readonly mac: Buffer;
}

/** Sectors of a leaf that lie in consecutive slots of one pack. */
export interface MapExtent {
  /** Sector inside the leaf. */
  readonly start: number;
  readonly sectors: number;
  readonly pack: number;
  readonly slot: number;
  /** First sector inside `slot`. */
  readonly first: number;
}

export interface Leaf {
  readonly contentMac: Buffer;
  readonly extents: readonly MapExtent[];
}

/** Children by index; missing ones are zeroes. */
export type Inner = ReadonlyMap<number, NodePointer>;

/** Returns the smallest depth whose tree covers a disk of that size. */
export function depthFor(sizeBytes: number): number {
  let depth = 0;
  for (let span = LEAF_BYTES; span < sizeBytes; span *= FAN_OUT) {
    depth += 1;
  }
  return depth;
}

export function leafCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / LEAF_BYTES);
}

/** Numbers packs in the order of their first use inside a node. */
class Dictionary {
  readonly #local = new Map<number, number>();

  index(pack: number): number {
    const known = this.#local.get(pack) ?? this.#local.size;
    this.#local.set(pack, known);
    return known;
  }

  write(writer: ByteWriter, packs: PackNumbers): void {
    writer.varint(this.#local.size);
    for (const pack of this.#local.keys()) {
      const { ulid, generation, rand } = packs.name(pack);
      writer.bytes(ulidBytes(ulid)).varint(generation).bytes(Buffer.from(rand, 'hex'));
    }
  }
}

function readDictionary(reader: ByteReader, kind: PackKind, packs: PackNumbers): number[] {
  const count = reader.varint(LEAF_PACKS_MAX);
  const numbers: number[] = [];
  for (let i = 0; i < count; i++) {
    const ulid = ulidText(reader.bytes(16));
    const generation = reader.varint(GENERATION_MAX);
    const name: PackName = { kind, ulid, generation, rand: reader.bytes(16).toString('hex') };
    const number = packs.of(name);
    demand(packs.name(number).kind === kind, 'a pack is of the wrong kind');
    numbers.push(number);
  }
  return numbers;
}

export function encodeLeaf(leaf: Leaf, packs: PackNumbers): Buffer {
  const dictionary = new Dictionary();
  const body = new ByteWriter(leaf.extents.length * 8 + 16);
  const after = new Map<number, number>();
  let end = 0;
  for (const { start, sectors, pack, slot, first } of leaf.extents) {
    body
      .varint(start - end)
      .varint(sectors)
      .varint(dictionary.index(pack) * 2 + (first > 0 ? 1 : 0))
      .zigzag(slot - (after.get(pack) ?? 0));
    if (first > 0) {
      body.varint(first);
    }
    after.set(pack, slot + 1);
    end = start + sectors;
  }
  const writer = new ByteWriter(body.length + 256).u8(LEAF_TYPE).bytes(leaf.contentMac);
  dictionary.write(writer, packs);
  return writer.varint(leaf.extents.length).bytes(body.finish()).finish();
}

/** @throws Malformed */
export function decodeLeaf(bytes: Uint8Array, packs: PackNumbers): Leaf {
  const reader = new ByteReader(bytes);
  demand(reader.u8() === LEAF_TYPE, 'a leaf is expected here');
  const contentMac = Buffer.from(reader.bytes(MAC_BYTES));
  const dictionary = readDictionary(reader, 'data', packs);
  const count = reader.varint(LEAF_EXTENTS_MAX);
  const extents: MapExtent[] = [];
  const after = new Map<number, number>();
  let end = 0;
  for (let i = 0; i < count; i++) {
    const start = end + reader.varint(LEAF_SECTORS);
    const sectors = reader.varint(LEAF_SECTORS);
    const packAndFlag = reader.varint(2 * LEAF_SECTORS);
    const pack = dictionary[Math.floor(packAndFlag / 2)];
    demand(pack !== undefined, 'an extent has no pack');
    const slot = (after.get(pack) ?? 0) + reader.zigzag();
    demand(slot >= 0 && slot < SLOTS_MAX, 'an extent has an impossible slot');
    const first = packAndFlag % 2 === 1 ? reader.varint(SLOTS_MAX) : 0;
    end = start + sectors;
    demand(sectors > 0 && end <= LEAF_SECTORS, 'an extent leaves its leaf');
    extents.push({ start, sectors, pack, slot, first });
    after.set(pack, slot + 1);
  }
  reader.end();
  return { contentMac, extents };
}

export function encodeInner(level: number, children: Inner, packs: PackNumbers): Buffer {
  const dictionary = new Dictionary();
  const body = new ByteWriter(children.size * 22);
  let next = 0;
  for (const index of [...children.keys()].sort((a, b) => a - b)) {
    const child = children.get(index);
    if (child !== undefined) {
      body
        .varint(index - next)
        .varint(dictionary.index(child.pack))
        .varint(child.slot)
        .bytes(child.mac);
      next = index + 1;
    }
  }
  const writer = new ByteWriter(body.length + 256).u8(INNER_TYPE).u8(level);
  dictionary.write(writer, packs);
  return writer.varint(children.size).bytes(body.finish()).finish();
}

/** @throws Malformed */
export function decodeInner(bytes: Uint8Array, level: number, packs: PackNumbers): Inner {
  const reader = new ByteReader(bytes);
  demand(reader.u8() === INNER_TYPE && reader.u8() === level, 'an inner node is expected here');
  const dictionary = readDictionary(reader, 'metadata', packs);
  const children = new Map<number, NodePointer>();
  let next = 0;
  for (let left = reader.varint(NODE_CHILDREN_MAX); left > 0; left--) {
    const index = next + reader.varint(FAN_OUT);
    demand(index < FAN_OUT, 'a node has too many children');
    const pack = dictionary[reader.varint(FAN_OUT)];
    demand(pack !== undefined, 'a child has no pack');
    const slot = reader.varint(SLOTS_MAX - 1);
    children.set(index, { pack, slot, mac: Buffer.from(reader.bytes(MAC_BYTES)) });
    next = index + 1;
  }
  reader.end();
  return children;
}
