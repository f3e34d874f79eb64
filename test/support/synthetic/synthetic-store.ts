import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { FOOTER_INDEX, seal } from '../../../src/vault/bytes/aead.ts';
import type { KeyTree } from '../../../src/vault/keys/key-tree.ts';
import { packKey, type PackName } from '../../../src/vault/format/object-names.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
} from '../../../src/vault/store/object-store.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import {
  encodeFooter,
  packHeader,
  packTrailer,
  type PackContext,
} from '../../../src/vault/packs/pack-layout.ts';
import type { VaultBase } from '../../../src/vault/packs/vault-base.ts';
import { ulidText } from '../../../src/vault/bytes/ulid.ts';

/** Chunks of a pack of 64 MiB at a mean of 36 KiB. */
export const PACK_SLOTS = 1820;
const FRAME_SLOTS = 14;
const SECTORS = 9;
export const CHUNK_SECTORS = SECTORS;
const ID_BYTES = 16;
const ZERO = Buffer.alloc(PACK_SLOTS * ID_BYTES);
/** As large as such a pack would be. */
const OBJECT_BYTES = 64 * 1024 * 1024;

/**
 * Returns the ids of the chunks of a pack, made only from its number. Ids of numbers beyond the
 * last are in no pack.
 */
export function syntheticIds(pack: number): Buffer {
  const key = Buffer.alloc(16, 'ids');
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(pack, 0);
  return createCipheriv('aes-128-ctr', key, iv).update(ZERO);
}

const START_MS = Date.UTC(2026, 0, 1);

export function syntheticPack(index: number): PackName {
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(START_MS + index * 1000, 0, 6);
  bytes.writeUInt32BE(index, 12);
  const rand = index.toString(16).padStart(32, '0');
  return { kind: 'data', ulid: ulidText(bytes), generation: 0, rand };
}

/** How many keys one request lists. */
const PAGE_ENTRIES = 1000;

/**
 * A vault of any size whose data packs have genuine footers and no content: each is made when it is
 * read. All other objects are where they were put.
 */
export class SyntheticStore extends ObjectStore {
  override readonly location: string = 'synthetic:';
  readonly #keys: KeyTree;
  readonly #context: PackContext;
  readonly #packs: number;
  readonly #others: ObjectStore;
  /** Time spent making what a real store would just have: by the clock, and of the processor. */
  madeMs = 0;
  madeProcessorMs = 0;
  gets = 0;
  lists = 0;

  constructor(
    { keys, context }: Pick<VaultBase, 'keys' | 'context'>,
    packs: number,
    others: ObjectStore = new MemoryObjectStore(),
  ) {
    super();
    this.#keys = keys;
    this.#context = context;
    this.#packs = packs;
    this.#others = others;
  }

  override async put(key: ObjectKey, data: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#others.put(key, data, signal);
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    this.gets += 1;
    return this.#others.get(key, signal);
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    let entries = 0;
    for await (const entry of this.#entries(prefix, signal)) {
      this.lists += entries % PAGE_ENTRIES === 0 ? 1 : 0;
      entries += 1;
      yield entry;
    }
    this.lists += entries === 0 ? 1 : 0;
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    this.gets += 1;
    const number = this.#numberOf(key);
    if (number === undefined) {
      return this.#others.getRange(key, range, signal);
    }
    assert('suffix' in range, 'there is no content');
    const [startMs, start] = [performance.now(), process.threadCpuUsage()];
    const { tail, objectSize } = this.#tail(syntheticPack(number), syntheticIds(number));
    this.madeMs += performance.now() - startMs;
    const { user, system } = process.threadCpuUsage(start);
    this.madeProcessorMs += (user + system) / 1000;
    return { data: tail.subarray(Math.max(0, tail.length - range.suffix)), objectSize };
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    await this.#others.remove(key, signal);
  }

  override async close(): Promise<void> {
    await this.#others.close();
  }

  /** Names of synthetic packs are older than those of all others. */
  async *#entries(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    for (let index = 0; prefix.startsWith('d/') && index < this.#packs; index++) {
      const key = packKey(syntheticPack(index));
      if (key.startsWith(prefix)) {
        yield { key, size: OBJECT_BYTES };
      }
    }
    yield* this.#others.list(prefix, signal);
  }

  #numberOf(key: ObjectKey): number | undefined {
    const number = key.startsWith('d/') ? parseInt(key.slice(-32), 16) : this.#packs;
    return number < this.#packs && packKey(syntheticPack(number)) === key ? number : undefined;
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
