import assert from 'node:assert/strict';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { frameRequests, type FrameRequest } from '../packs/frame-requests.ts';
import { IdChecks } from './id-checks.ts';
import type { FetchedFrame, FrameToOpen } from './frame-tasks.ts';
import type { OpenPack, PlacedSlot } from '../packs/open-pack.ts';
import { damagedFrame, wrongSlot } from '../packs/pack-faults.ts';
import type { Packs } from '../packs/packs.ts';
import { PREFIX_BYTES, type PackFrame } from '../packs/pack-layout.ts';
import { slotIds, slotsOfFrame } from '../packs/slot-ids.ts';
import type { TaskPool } from './task-pool.ts';

/** A decrypted frame of a data pack. */
export interface RawFrame {
  readonly raw: Uint8Array;
  /** The requested slots whose content does not match their ids. */
  readonly wrong: readonly number[];
}

/** Returns the slots of a frame that are needed. */
type SlotsOf = (frame: number) => Iterable<number>;

/** Fetches frames and has workers decrypt them. */
export class FrameFetcher {
  readonly packs: Packs;
  readonly pool: TaskPool;
  readonly ids: IdChecks;

  /** @param withIds whether slots must match their ids before they are returned */
  constructor(packs: Packs, pool: TaskPool, withIds: boolean) {
    this.packs = packs;
    this.pool = pool;
    this.ids = new IdChecks(withIds);
  }

  /** Returns the ranged reads that fetch these frames. */
  requests(frames: Iterable<PackFrame>): FrameRequest[] {
    return frameRequests(frames);
  }

  /** Fetches the bytes of a request into a buffer of their own, as workers need them. */
  async fetch(pack: OpenPack, request: FrameRequest, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.packs.range(pack, request, signal);
    return bytes.length === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
  }

  /**
   * Fetches and decrypts the frames of a request, in its order.
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
   * Returns a frame.
   * @param slots whose ids are computed; default all slots of the frame
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
   * Returns the bytes of one slot of a data pack.
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

  /** Describes a frame for workers, with the slots whose ids they compute. */
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

export function fetched(frame: PackFrame, request: FrameRequest): FetchedFrame {
  const { index, rawBytes, compressed, sealedBytes } = frame;
  const length = PREFIX_BYTES + sealedBytes;
  return { index, rawBytes, compressed, offset: frame.offset - request.offset, length };
}
