import { createCipheriv } from 'node:crypto';
import { FOOTER_INDEX, seal } from '../../../src/vault/aead.ts';
import type { KeyTree } from '../../../src/vault/key-tree.ts';
import { packKey, type PackName } from '../../../src/vault/layout.ts';
import type { ObjectEntry, ObjectPart, ObjectRange } from '../../../src/vault/object-store.ts';
import { MemoryObjectStore } from '../../../src/vault/object-stores/memory.ts';
import {
  encodeFooter,
  packHeader,
  packTrailer,
  type PackContext,
} from '../../../src/vault/pack-layout.ts';
import { ulidText } from '../../../src/vault/ulid.ts';

/** Chunks of a pack of 64 MiB at a mean of 36 KiB. */
export const PACK_SLOTS = 1820;
const FRAME_SLOTS = 14;
const SECTORS = 9;
export const CHUNK_SECTORS = SECTORS;
const ID_BYTES = 16;
const ZERO = Buffer.alloc(PACK_SLOTS * ID_BYTES);

/** Ids of the chunks of a pack, made of its number alone. Ids of packs beyond the last are in no pack. */
export function syntheticIds(pack: number): Buffer {
  const key = Buffer.alloc(16, 'ids');
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(pack, 0);
  return createCipheriv('aes-128-ctr', key, iv).update(ZERO);
}

const START_MS = Date.UTC(2026, 0, 1);

function nameOf(index: number): PackName {
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(START_MS + index * 1000, 0, 6);
  bytes.writeUInt32BE(index, 12);
  const rand = index.toString(16).padStart(32, '0');
  return { kind: 'data', ulid: ulidText(bytes), generation: 0, rand };
}

/** A vault of any size whose packs have genuine footers and no content: each is made when it is read. */
export class SyntheticStore extends MemoryObjectStore {
  override readonly location: string = 'synthetic:';
  readonly #keys: KeyTree;
  readonly #context: PackContext;
  readonly #packs: number;
  /** Time spent on making what a store would just have. */
  madeMs = 0;
  gets = 0;
  lists = 0;

  constructor(keys: KeyTree, context: PackContext, packs: number) {
    super();
    this.#keys = keys;
    this.#context = context;
    this.#packs = packs;
  }

  override get identity(): string {
    return this.location;
  }

  override async *list(prefix: string): AsyncIterable<ObjectEntry> {
    for (let index = 0; index < this.#packs; index++) {
      this.lists += index % 1000 === 0 ? 1 : 0;
      const key = packKey(nameOf(index));
      if (key.startsWith(prefix)) {
        yield { key, size: 64 * 1024 * 1024 };
      }
    }
  }

  override async getRange(key: string, range: ObjectRange): Promise<ObjectPart | undefined> {
    this.gets += 1;
    const number = parseInt(key.slice(-32), 16);
    if (number >= this.#packs || !('suffix' in range)) {
      return undefined;
    }
    const startMs = performance.now();
    const { tail, objectSize } = this.#tail(nameOf(number), syntheticIds(number));
    this.madeMs += performance.now() - startMs;
    return { data: tail.subarray(Math.max(0, tail.length - range.suffix)), objectSize };
  }

  #tail(name: PackName, ids: Buffer): { tail: Buffer; objectSize: number } {
    const rawBytes = FRAME_SLOTS * SECTORS * 4096;
    const frames = Array.from({ length: PACK_SLOTS / FRAME_SLOTS }, () => ({
      sealedBytes: rawBytes + 16,
      rawBytes,
      slots: FRAME_SLOTS,
      compressed: false,
    }));
    const sizes = new Uint32Array(PACK_SLOTS).fill(SECTORS);
    const key = this.#keys.object('data', packKey(name));
    const additional = packHeader(this.#context, name);
    const sealed = seal(
      { key, index: FOOTER_INDEX, additional },
      encodeFooter({ frames, sizes, ids }),
    );
    const offset = 64 + frames.length * (12 + rawBytes + 16);
    const trailer = packTrailer(this.#context, name, { offset, sealed });
    const tail = Buffer.concat([sealed, trailer]);
    return { tail, objectSize: offset + tail.length };
  }
}
