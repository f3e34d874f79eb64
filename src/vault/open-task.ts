import { createHash } from 'node:crypto';
import { Malformed } from './binary.ts';
import { chunkIdFunction, ID_BYTES, type ChunkIdFunction } from './chunk-id.ts';
import { frameRoom, openFrame, type FrameKeys, type FrameShape } from './frame.ts';
import { DATA_FRAME_BYTES } from './pack-layout.ts';
import type { ChunkingSecrets } from './store-task.ts';

/** A frame inside the bytes that were fetched. */
export interface FetchedFrame extends FrameShape {
  readonly offset: number;
  /** With prefix. */
  readonly length: number;
}

/** Decrypts frames of one pack. */
export interface OpenTask {
  readonly kind: 'open';
  readonly keys: FrameKeys;
  readonly bytes: Uint8Array;
  readonly frames: readonly FetchedFrame[];
}

export type OpenedFrame =
  { readonly raw: Uint8Array } | { readonly index: number; readonly damage: string };

/** Decrypts frames and recomputes the ids of their slots, without giving the content back. */
export interface CheckTask {
  readonly kind: 'check';
  readonly keys: FrameKeys;
  readonly bytes: Uint8Array;
  readonly frames: readonly (FetchedFrame & {
    readonly slots: readonly { readonly offset: number; readonly length: number }[];
    /** 16 bytes per slot. */
    readonly ids: Uint8Array;
  })[];
}

export interface CheckedFrame {
  readonly index: number;
  readonly damage?: string;
}

export interface DigestTask {
  readonly kind: 'digest';
  readonly bytes: Uint8Array;
}

export function runOpen({ keys, bytes, frames }: OpenTask): OpenedFrame[] {
  return frames.map((frame) => {
    try {
      return {
        raw: openFrame(keys, frame, bytes.subarray(frame.offset, frame.offset + frame.length)),
      };
    } catch (error) {
      return { index: frame.index, damage: damageOf(error) };
    }
  });
}

export function runCheck({ keys, bytes, frames }: CheckTask, id: ChunkIdFunction): CheckedFrame[] {
  const room = frameRoom(DATA_FRAME_BYTES);
  return frames.map(({ slots, ids, ...frame }) => {
    try {
      const sealed = bytes.subarray(frame.offset, frame.offset + frame.length);
      const raw = openFrame(keys, frame, sealed, room);
      const wrong = slots.findIndex(
        ({ offset, length }, slot) =>
          !id(raw.subarray(offset, offset + length)).equals(
            ids.subarray(slot * ID_BYTES, (slot + 1) * ID_BYTES),
          ),
      );
      return wrong < 0
        ? { index: frame.index }
        : { index: frame.index, damage: `slot ${wrong} of the frame does not have its id` };
    } catch (error) {
      return { index: frame.index, damage: damageOf(error) };
    }
  });
}

export function runDigest({ bytes }: DigestTask): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

export function idFunctionOf(secrets: ChunkingSecrets): ChunkIdFunction {
  return chunkIdFunction(secrets.chunkId, secrets.chunkIdKey);
}

/** What is wrong with a frame; anything but damage is thrown. */
export function damageOf(error: unknown): string {
  if (error instanceof Malformed) {
    return error.message;
  }
  throw error;
}
