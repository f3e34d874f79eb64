import assert from 'node:assert/strict';
import { SECTOR_BYTES } from './chunk-cut.ts';
import { frameRequests, type FrameRequest } from './frame-requests.ts';
import type { FetchedFrame } from './open-task.ts';
import { damagedFrame, type OpenPack, type Packs, type PlacedSlot } from './packs.ts';
import { PREFIX_BYTES, type FramePlace } from './pack-layout.ts';
import type { WorkerPool } from './worker-pool.ts';

/** Fetches frames and has workers decrypt them. */
export class FrameFetcher {
  readonly packs: Packs;
  readonly pool: WorkerPool;

  constructor(packs: Packs, pool: WorkerPool) {
    this.packs = packs;
    this.pool = pool;
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
  async open(pack: OpenPack, request: FrameRequest, signal: AbortSignal): Promise<Uint8Array[]> {
    const bytes = await this.fetch(pack, request, signal);
    const frames = request.frames.map((frame) => fetched(frame, request));
    const { key, header } = pack;
    const opened = await this.pool.run({ kind: 'open', keys: { key, header }, bytes, frames });
    return opened.map((frame) => {
      if ('raw' in frame) {
        return frame.raw;
      }
      throw damagedFrame(pack, frame.index, frame.damage);
    });
  }

  /** The raw bytes of the frame that a slot lies in. */
  async frame({ open, slot }: PlacedSlot, signal: AbortSignal): Promise<Uint8Array> {
    const index = open.footer.frameOf[slot] ?? 0;
    const [request] = this.requests(open.footer.frames.slice(index, index + 1));
    assert(request !== undefined, 'a frame that the footer names exists');
    const [raw] = await this.open(open, request, signal);
    assert(raw !== undefined, 'one frame was asked for');
    return raw;
  }

  /** The bytes of one slot of a data pack. */
  async slot(placed: PlacedSlot, signal: AbortSignal): Promise<Uint8Array> {
    const raw = await this.frame(placed, signal);
    const { footer } = placed.open;
    const offset = footer.offsetOf[placed.slot] ?? 0;
    return raw.subarray(offset, offset + footer.size(placed.slot) * SECTOR_BYTES);
  }
}

export function fetched(frame: FramePlace, request: FrameRequest): FetchedFrame {
  const { index, rawBytes, compressed, sealedBytes } = frame;
  const length = PREFIX_BYTES + sealedBytes;
  return { index, rawBytes, compressed, offset: frame.offset - request.offset, length };
}
