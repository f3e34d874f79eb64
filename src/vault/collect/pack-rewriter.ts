import { createHash } from 'node:crypto';
import { parseOr } from '../binary.ts';
import { SECTOR_BYTES } from '../chunk-cut.ts';
import { ID_BYTES } from '../chunk-id.ts';
import { openFrameBody, packFrame, type FrameKeys } from '../frame.ts';
import { frameRequests } from '../frame-requests.ts';
import { packKey, type PackName } from '../layout.ts';
import { FRAME_BYTES, PREFIX_BYTES, type FrameEntry, type FramePlace } from '../pack-layout.ts';
import { packEnd, sealVerified } from '../pack-writing.ts';
import { REWRITE_LEVEL } from '../zstd.ts';
import { damagedFrame, type OpenPack, type Packs } from '../packs.ts';
import { setImmediate } from 'node:timers/promises';

/** A frame with less than this share of a full one is packed anew with its neighbours: large frames compress better. */
const WHOLE_FRAME_SHARE = 1 / 4;
const READ_BYTES = 2 * 1024 * 1024;

interface OpenFrame {
  sizes: number[];
  ids: Uint8Array[];
  raws: Uint8Array[];
  rawBytes: number;
}

/** A pack that was written anew from others, verified in the memory that was sent. */
export interface RewrittenPack {
  readonly name: PackName;
  readonly bytes: number;
}

/**
 * Makes a pack of slots of other packs. Frames that are kept whole are decrypted, proven and encrypted
 * again under the new pack's key, without compressing them again; what is left of others shares new frames.
 */
export class PackRewriter {
  readonly #packs: Packs;
  readonly #name: PackName;
  readonly #keys: FrameKeys;
  readonly #signal: AbortSignal;
  readonly #parts: Uint8Array[];
  readonly #frames: (FrameEntry & { slots: number })[] = [];
  readonly #sizes: number[] = [];
  readonly #ids: Uint8Array[] = [];
  #open: OpenFrame = { sizes: [], ids: [], raws: [], rawBytes: 0 };
  #bytes: number;

  constructor(packs: Packs, name: PackName, signal: AbortSignal) {
    this.#packs = packs;
    this.#name = name;
    this.#keys = packs.frameKeys(name);
    this.#signal = signal;
    this.#parts = [Buffer.from(this.#keys.header)];
    this.#bytes = this.#keys.header.length;
  }

  /** Slots so far: the next one that is kept gets this number. */
  get slots(): number {
    return this.#sizes.length + this.#open.sizes.length;
  }

  /**
   * Takes over slots of a pack.
   * @param keep which of them
   * @param leaveGaps slots that are not kept stay as missing ones, so that the others keep their numbers
   * @throws Fault `vault.chunk-corrupt` if one that is kept is damaged
   */
  async take(source: OpenPack, keep: (slot: number) => boolean, leaveGaps: boolean): Promise<void> {
    const wanted = source.footer.frames.filter((frame) => keptIn(source, frame, keep).length > 0);
    const contents = this.#contents(source, wanted);
    for (const frame of source.footer.frames) {
      const kept = keptIn(source, frame, keep);
      if (kept.length === 0) {
        this.#gaps(leaveGaps ? frame.slots : 0);
        continue;
      }
      const next = await contents.next();
      if (next.done === true) {
        throw damagedFrame(source, frame.index, 'it was not read');
      }
      this.#frame(source, frame, { ...next.value, kept, leaveGaps });
    }
  }

  /** Sends the pack; it is in the vault when this has returned. */
  async finish(): Promise<RewrittenPack> {
    this.#closeFrame();
    this.#closeGaps();
    const { base } = this.#packs;
    const place = { name: this.#name, keys: this.#keys, offset: this.#bytes };
    const ids = Buffer.concat(this.#ids);
    const end = packEnd(base, place, { frames: this.#frames, sizes: this.#sizes, ids });
    const object = Buffer.concat([...this.#parts, end]);
    const sha256 = createHash('sha256').update(object).digest();
    await base.store.put(packKey(this.#name), object, this.#signal, { sha256 });
    await this.#packs.checkLength(this.#name, this.#signal);
    return { name: this.#name, bytes: object.length };
  }

  async *#contents(
    source: OpenPack,
    frames: readonly FramePlace[],
  ): AsyncGenerator<{ raw: Uint8Array; body: Uint8Array }> {
    for (const request of frameRequests(frames, READ_BYTES)) {
      const bytes = await this.#packs.range(source, request, this.#signal);
      for (const frame of request.frames) {
        // Each takes milliseconds: others have their turn in between.
        await setImmediate();
        this.#signal.throwIfAborted();
        const at = frame.offset - request.offset;
        const sealed = bytes.subarray(at, at + PREFIX_BYTES + frame.sealedBytes);
        yield opened(source, frame, sealed);
      }
    }
  }

  #frame(
    { footer, name }: OpenPack,
    frame: FramePlace,
    from: {
      readonly raw: Uint8Array;
      readonly body: Uint8Array;
      readonly kept: readonly number[];
      readonly leaveGaps: boolean;
    },
  ): void {
    const { raw, body, kept, leaveGaps } = from;
    const present = slotsOf(frame).filter((slot) => footer.size(slot) > 0);
    const isWhole = kept.length === present.length && (leaveGaps || present.length === frame.slots);
    if (isWhole && raw.length >= FRAME_BYTES[name.kind] * WHOLE_FRAME_SHARE) {
      this.#closeFrame();
      const sizes = slotsOf(frame).map((slot) => footer.size(slot));
      const ids = slotsOf(frame).map((slot) => Uint8Array.from(footer.id(slot)));
      this.#seal({ raw, body, compressed: frame.compressed }, sizes, ids);
      return;
    }
    const unit = name.kind === 'data' ? SECTOR_BYTES : 1;
    const keptSlots = new Set(kept);
    for (const slot of slotsOf(frame)) {
      if (!keptSlots.has(slot)) {
        this.#gaps(leaveGaps ? 1 : 0);
        continue;
      }
      const size = footer.size(slot);
      const offset = footer.offsetOf[slot] ?? 0;
      if (this.#open.rawBytes + size * unit > FRAME_BYTES[name.kind]) {
        this.#closeFrame();
      }
      this.#open.sizes.push(size);
      this.#open.ids.push(Uint8Array.from(footer.id(slot)));
      this.#open.raws.push(raw.subarray(offset, offset + size * unit));
      this.#open.rawBytes += size * unit;
    }
  }

  #gaps(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#open.sizes.push(0);
      this.#open.ids.push(NO_ID);
    }
  }

  #closeFrame(): void {
    const { sizes, ids, raws, rawBytes } = this.#open;
    if (rawBytes > 0) {
      this.#open = { sizes: [], ids: [], raws: [], rawBytes: 0 };
      const raw = Buffer.concat(raws);
      this.#seal({ raw, ...packFrame(raw, REWRITE_LEVEL) }, sizes, ids);
    }
  }

  /** Missing slots at the end belong to the last frame, those in front of a frame to that one. */
  #closeGaps(): void {
    const last = this.#frames.at(-1);
    if (last !== undefined) {
      last.slots += this.#open.sizes.length;
      this.#sizes.push(...this.#open.sizes);
      this.#ids.push(...this.#open.ids);
    }
  }

  #seal(
    packed: Parameters<typeof sealVerified>[2],
    sizes: readonly number[],
    ids: readonly Uint8Array[],
  ): void {
    const gaps = this.#open;
    this.#open = { sizes: [], ids: [], raws: [], rawBytes: 0 };
    const { bytes, entry } = sealVerified(this.#keys, this.#frames.length, packed);
    this.#frames.push({ ...entry, slots: gaps.sizes.length + sizes.length });
    this.#sizes.push(...gaps.sizes, ...sizes);
    this.#ids.push(...gaps.ids, ...ids);
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }
}

const NO_ID = new Uint8Array(ID_BYTES);

function slotsOf({ firstSlot, slots }: FramePlace): number[] {
  return Array.from({ length: slots }, (_, index) => firstSlot + index);
}

function keptIn(
  { footer }: OpenPack,
  frame: FramePlace,
  keep: (slot: number) => boolean,
): number[] {
  return slotsOf(frame).filter((slot) => footer.size(slot) > 0 && keep(slot));
}

function opened(
  source: OpenPack,
  frame: FramePlace,
  sealed: Uint8Array,
): ReturnType<typeof openFrameBody> {
  return parseOr(
    (why, cause) => damagedFrame(source, frame.index, why, cause),
    () => openFrameBody(source, frame, sealed),
  );
}
