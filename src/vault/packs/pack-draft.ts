import { ID_BYTES } from '../chunks/chunk-id.ts';
import { packFrame, type FrameKeys, type PackedFrame } from './frame.ts';
import type { PackName } from '../format/object-names.ts';
import { FRAME_BYTES, type FrameEntry } from './pack-layout.ts';
import { packEnd, sealVerified } from './pack-writing.ts';
import type { Packs } from './packs.ts';
import type { VaultBase } from './vault-base.ts';
import { REWRITE_LEVEL } from '../bytes/zstd.ts';

const NO_ID = new Uint8Array(ID_BYTES);

/** A slot as the footer has it. */
export interface DraftSlot {
  /** 16 bytes, which must not change any more. */
  readonly id: Uint8Array;
  /** Sectors (data) or bytes (metadata). */
  readonly size: number;
}

/** A pack in memory, whole and encrypted. */
export interface DraftedPack {
  readonly object: Buffer;
  /** Where the frames end. */
  readonly footerOffset: number;
}

/**
 * A pack that is built slot by slot in the calling thread: map nodes, and packs that are rewritten.
 * Every frame is read back from the memory that will be sent.
 */
export class PackDraft {
  readonly #base: VaultBase;
  readonly #name: PackName;
  readonly #keys: FrameKeys;
  readonly #parts: Uint8Array[];
  readonly #frames: (FrameEntry & { slots: number })[] = [];
  readonly #slots: DraftSlot[] = [];
  #bytes: number;
  /** Slots of the frame that is being filled, and the content of those that are not missing. */
  #open: DraftSlot[] = [];
  #contents: Uint8Array[] = [];
  #openBytes = 0;

  constructor(packs: Packs, name: PackName) {
    this.#base = packs.base;
    this.#name = name;
    this.#keys = packs.frameKeys(name);
    this.#parts = [this.#keys.header];
    this.#bytes = this.#keys.header.length;
  }

  /** Number of slots so far, which is the number of the next slot. */
  get slots(): number {
    return this.#slots.length + this.#open.length;
  }

  get frames(): number {
    return this.#frames.length;
  }

  /** Size of the frames so far and of the content still to be packed. */
  get bytes(): number {
    return this.#bytes + this.#openBytes;
  }

  /** @throws Fault `vault.write-damaged` */
  add(slot: DraftSlot, content: Uint8Array): void {
    if (this.#openBytes + content.length > FRAME_BYTES[this.#name.kind]) {
      this.#closeFrame();
    }
    this.#open.push(slot);
    this.#contents.push(content);
    this.#openBytes += content.length;
  }

  /** Records the next `count` numbers as missing slots. */
  skip(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#open.push({ id: NO_ID, size: 0 });
    }
  }

  /**
   * Adds a frame as it was packed before.
   * @throws Fault `vault.write-damaged`
   */
  addFrame(slots: readonly DraftSlot[], packed: PackedFrame & { readonly raw: Uint8Array }): void {
    this.#closeFrame();
    this.#seal(slots, packed);
  }

  /** @throws Fault `vault.write-damaged` */
  finish(): DraftedPack {
    this.#closeFrame();
    // Missing slots before a frame belong to it; after the last one there is no frame.
    const last = this.#frames.at(-1);
    if (last !== undefined) {
      last.slots += this.#open.length;
      this.#slots.push(...this.#open);
    }
    const footerOffset = this.#bytes;
    const place = { name: this.#name, keys: this.#keys, offset: footerOffset };
    const end = packEnd(this.#base, place, {
      frames: this.#frames,
      sizes: this.#slots.map(({ size }) => size),
      ids: Buffer.concat(this.#slots.map(({ id }) => id)),
    });
    return { object: Buffer.concat([...this.#parts, end]), footerOffset };
  }

  #closeFrame(): void {
    if (this.#openBytes > 0) {
      const raw = Buffer.concat(this.#contents);
      this.#contents = [];
      this.#openBytes = 0;
      this.#seal([], { raw, ...packFrame(raw, REWRITE_LEVEL) });
    }
  }

  /** @param slots those that follow the open ones */
  #seal(slots: readonly DraftSlot[], packed: Parameters<typeof sealVerified>[2]): void {
    const all = [...this.#open, ...slots];
    this.#open = [];
    const { bytes, entry } = sealVerified(this.#keys, this.#frames.length, packed);
    this.#frames.push({ ...entry, slots: all.length });
    this.#slots.push(...all);
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }
}
