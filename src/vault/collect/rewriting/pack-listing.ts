import {
  packKey,
  parsePackKey,
  PREFIXES,
  type PackKind,
  type PackName,
} from '../../format/object-names.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Ulid } from '../../bytes/ulid.ts';
import { grownCapacity, UlidTable } from '../../bytes/ulid-table.ts';

/** One generation of a pack, as it was listed. */
export interface PackObject {
  readonly name: PackName;
  readonly size: number;
}

/** A logical pack. */
export interface ListedPack {
  readonly kind: PackKind;
  readonly ulid: Ulid;
  /** Ascending: a later generation may replace an earlier one (`mayReplace`). */
  readonly objects: readonly PackObject[];
}

/**
 * Record of an object: rand, generation, size, index of the same pack's object before it plus one.
 */
const OBJECT_BYTES = 32;
const GENERATION_OFFSET = 16;
const SIZE_OFFSET = 20;
const BEFORE_OFFSET = 28;

/** All packs of one listing, in 60 to 80 bytes each. */
export class PackListing {
  readonly #ulids = new UlidTable();
  /** By pack: index of its last object plus one; negative for a metadata pack. */
  #last = new Int32Array(grownCapacity(0));
  #objects = Buffer.alloc(grownCapacity(0) * OBJECT_BYTES);
  #objectCount = 0;
  #totalBytes = 0;

  /** Number of logical packs. */
  get size(): number {
    return this.#ulids.count;
  }

  /** Size of all objects together. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  has(ulid: Ulid): boolean {
    return this.#ulids.find(ulid) !== undefined;
  }

  get(ulid: Ulid): ListedPack | undefined {
    const pack = this.#ulids.find(ulid);
    return pack === undefined ? undefined : this.#pack(pack);
  }

  /** Yields the packs, oldest first. */
  *values(): Iterable<ListedPack> {
    const { size } = this;
    const order = Uint32Array.from({ length: size }, (_, pack) => pack);
    for (const pack of order.sort((a, b) => this.#ulids.compare(a, b))) {
      yield this.#pack(pack);
    }
  }

  add({ kind, ulid, generation, rand }: PackName, size: number): void {
    const pack = this.#ulids.of(ulid);
    if (pack >= this.#last.length) {
      const larger = new Int32Array(grownCapacity(pack));
      larger.set(this.#last);
      this.#last = larger;
    }
    const last = this.#last[pack] ?? 0;
    if (last !== 0 && kindOf(last) !== kind) {
      // No writer uses one name for data and for metadata: the second object is left alone.
      return;
    }
    const at = this.#objectCount++ * OBJECT_BYTES;
    if (at >= this.#objects.length) {
      const larger = Buffer.alloc(grownCapacity(this.#objectCount) * OBJECT_BYTES);
      this.#objects.copy(larger);
      this.#objects = larger;
    }
    this.#objects.write(rand, at, 'hex');
    this.#objects.writeUInt32LE(generation, at + GENERATION_OFFSET);
    this.#objects.writeDoubleLE(size, at + SIZE_OFFSET);
    this.#objects.writeUInt32LE(Math.abs(last), at + BEFORE_OFFSET);
    this.#last[pack] = kind === 'data' ? this.#objectCount : -this.#objectCount;
    this.#totalBytes += size;
  }

  #pack(pack: number): ListedPack {
    const ulid = this.#ulids.ulid(pack);
    const last = this.#last[pack] ?? 0;
    const kind = kindOf(last);
    const objects: PackObject[] = [];
    for (let next = Math.abs(last); next > 0;) {
      const at = (next - 1) * OBJECT_BYTES;
      const generation = this.#objects.readUInt32LE(at + GENERATION_OFFSET);
      const rand = this.#objects.toString('hex', at, at + GENERATION_OFFSET);
      const size = this.#objects.readDoubleLE(at + SIZE_OFFSET);
      objects.push({ name: { kind, ulid, generation, rand }, size });
      next = this.#objects.readUInt32LE(at + BEFORE_OFFSET);
    }
    objects.sort((a, b) => (mayReplace(b.name, a.name) ? -1 : 1));
    return { kind, ulid, objects };
  }
}

function kindOf(last: number): PackKind {
  return last < 0 ? 'metadata' : 'data';
}

export async function listPacks(store: ObjectStore, signal: AbortSignal): Promise<PackListing> {
  const packs = new PackListing();
  for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
    for await (const { key, size } of store.list(prefix, signal)) {
      const name = parsePackKey(key);
      if (name !== undefined) {
        packs.add(name, size);
      }
    }
  }
  return packs;
}

/**
 * Of two generations that hold the same, only the lesser may be removed in favour of the other:
 * otherwise two collectors could each remove what the other one kept.
 */
export function mayReplace(other: PackName, removed: PackName): boolean {
  return (
    other.generation > removed.generation ||
    (other.generation === removed.generation && packKey(other) > packKey(removed))
  );
}

export function totalSize(objects: readonly PackObject[]): number {
  return objects.reduce((sum, { size }) => sum + size, 0);
}
