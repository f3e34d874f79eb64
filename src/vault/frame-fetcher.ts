import assert from 'node:assert/strict';
import { SECTOR_BYTES } from './chunk-cut.ts';
import { frameRequests, type FrameRequest } from './frame-requests.ts';
import { IdChecks } from './id-checks.ts';
import type { FetchedFrame, FrameToOpen } from './open-task.ts';
import { damagedFrame, wrongSlot, type OpenPack, type Packs, type PlacedSlot } from './packs.ts';
import { PREFIX_BYTES, type FramePlace } from './pack-layout.ts';
import { slotIds, slotsOfFrame } from './slot-ids.ts';
import type { WorkerPool } from './worker-pool.ts';

/** A frame of a data pack that was decrypted. */
export interface RawFrame {
  readonly raw: Uint8Array;
  /** Slots, of those that were asked for, whose content is not what their ids say. */
  readonly wrong: readonly number[];
}

/** Of a frame, the slots that somebody needs. */
type SlotsOf = (frame: number) => Iterable<number>;

/** Fetches frames and has workers decrypt them. */
export class FrameFetcher {
  readonly packs: Packs;
  readonly pool: WorkerPool;
  readonly ids: IdChecks;

  /** @param withIds whether slots must have their ids, too, before they are given out */
  constructor(packs: Packs, pool: WorkerPool, withIds: boolean) {
    this.packs = packs;
    this.pool = pool;
    this.ids = new IdChecks(withIds);
  }

  /** The ranged reads that bring these frames. */
  requests(frames: Iterable<FramePlace>, requestBytes?: number): FrameRequest[] {
    return frameRequests(frames, requestBytes);
  }

  /** The bytes of a request in a buffer of their own, as workers need them. */
  async fetch(pack: OpenPack, request: FrameRequest, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.packs.range(pack, request, signal);
    return bytes.length === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
  }

  /**
   * The raw frames of a request, in its order.
   * @throws Fault `vault.chunk-corrupt`
   */
  async open(
    pack: OpenPack,
    request: FrameRequest,
    slotsOf: SlotsOf,
    signal: AbortSignal,
  ): Promise<Uint8Array[]> {
    const frames = await this.#open(pack, request, slotsOf, signal);
    return frames.map(({ raw, wrong: [wrong] }) => {
      if (wrong !== undefined) {
        throw wrongSlot(pack, wrong);
      }
      return raw;
    });
  }

  /**
   * The frame that a slot lies in.
   * @param slots those whose ids are computed; default all of the frame
   * @throws Fault `vault.chunk-corrupt` if no slot of it can be read
   */
  async frame(
    { open, slot }: PlacedSlot,
    signal: AbortSignal,
    slots?: readonly number[],
  ): Promise<RawFrame> {
    const index = open.footer.frameOf[slot] ?? 0;
    const [request] = this.requests(open.footer.frames.slice(index, index + 1));
    assert(request !== undefined, 'a frame that the footer names exists');
    const slotsOf = (frame: number): readonly number[] => slots ?? slotsOfFrame(open.footer, frame);
    const [frame] = await this.#open(open, request, slotsOf, signal);
    assert(frame !== undefined, 'one frame was asked for');
    return frame;
  }

  /**
   * The bytes of one slot of a data pack.
   * @throws Fault `vault.chunk-corrupt`
   */
  async slot(placed: PlacedSlot, signal: AbortSignal): Promise<Uint8Array> {
    const { open, slot } = placed;
    const { raw, wrong } = await this.frame(placed, signal, [slot]);
    if (wrong.includes(slot)) {
      throw wrongSlot(open, slot);
    }
    const offset = open.footer.offsetOf[slot] ?? 0;
    return raw.subarray(offset, offset + open.footer.size(slot) * SECTOR_BYTES);
  }

  /** A frame as workers take it, with the slots of it whose ids are computed. */
  toOpen(
    pack: OpenPack,
    fetchedFrame: FetchedFrame,
    slots: Iterable<number>,
    withIds: boolean,
  ): FrameToOpen {
    const proven = withIds && pack.name.kind === 'data';
    return proven ? { ...fetchedFrame, proof: slotIds(pack.footer, slots) } : fetchedFrame;
  }

  async #open(
    pack: OpenPack,
    request: FrameRequest,
    slotsOf: SlotsOf,
    signal: AbortSignal,
  ): Promise<RawFrame[]> {
    const { key, header } = pack;
    const bytes = await this.fetch(pack, request, signal);
    const opened = await this.ids.run(async (withIds) => {
      const frames = request.frames.map((frame) =>
        this.toOpen(pack, fetched(frame, request), slotsOf(frame.index), withIds),
      );
      return this.pool.run({ kind: 'open', keys: { key, header }, bytes, frames });
    });
    return opened.map((frame) => {
      if ('raw' in frame) {
        return frame;
      }
      throw damagedFrame(pack, frame.index, frame.damage);
    });
  }
}

export function fetched(frame: FramePlace, request: FrameRequest): FetchedFrame {
  const { index, rawBytes, compressed, sealedBytes } = frame;
  const length = PREFIX_BYTES + sealedBytes;
  return { index, rawBytes, compressed, offset: frame.offset - request.offset, length };
}
