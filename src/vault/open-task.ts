import { createHash } from 'node:crypto';
import { Malformed } from './binary.ts';
import { chunkIdFunction, type ChunkIdFunction } from './chunk-id.ts';
import { frameRoom, openFrame, type FrameKeys, type FrameShape } from './frame.ts';
import { DATA_FRAME_BYTES } from './pack-layout.ts';
import { wrongSlots, type SlotIds } from './slot-ids.ts';
import type { ChunkingSecrets } from './store-task.ts';

/** A frame inside the bytes that were fetched. */
export interface FetchedFrame extends FrameShape {
  readonly offset: number;
  /** With prefix. */
  readonly length: number;
}

/** A frame and, if the ids of slots of it are to be computed, which. */
export type FrameToOpen = FetchedFrame & { readonly proof?: SlotIds };

/** Decrypts frames of one pack. */
export interface OpenTask {
  readonly kind: 'open';
  readonly keys: FrameKeys;
  readonly bytes: Uint8Array;
  readonly frames: readonly FrameToOpen[];
}

/**
 * A frame that was decrypted, with the slots that do not have their id; or what is wrong with all
 * of it.
 */
export type OpenedFrame =
  | { readonly raw: Uint8Array; readonly wrong: readonly number[] }
  | { readonly index: number; readonly damage: string };

/** Decrypts frames and recomputes the ids of their slots, without giving the content back. */
export interface CheckTask {
  readonly kind: 'check';
  readonly keys: FrameKeys;
  readonly bytes: Uint8Array;
  readonly frames: readonly (FetchedFrame & { readonly proof: SlotIds })[];
}

export interface CheckedFrame {
  readonly index: number;
  readonly damage?: string;
  /** The slots that are not whole; without it, with damage, none of the frame is. */
  readonly wrong?: readonly number[];
}

export interface DigestTask {
  readonly kind: 'digest';
  readonly bytes: Uint8Array;
}

/** @param id made when the first frame asks for it */
export function runOpen(
  { keys, bytes, frames }: OpenTask,
  id: () => ChunkIdFunction,
): OpenedFrame[] {
  return frames.map(({ proof, ...frame }) => {
    try {
      const sealed = bytes.subarray(frame.offset, frame.offset + frame.length);
      const raw = openFrame(keys, frame, sealed);
      return { raw, wrong: proof === undefined ? [] : wrongSlots(raw, proof, id()) };
    } catch (error) {
      return { index: frame.index, damage: damageOf(error) };
    }
  });
}

export function runCheck({ keys, bytes, frames }: CheckTask, id: ChunkIdFunction): CheckedFrame[] {
  const room = frameRoom(DATA_FRAME_BYTES);
  return frames.map(({ proof, ...frame }) => {
    try {
      const sealed = bytes.subarray(frame.offset, frame.offset + frame.length);
      const wrong = wrongSlots(openFrame(keys, frame, sealed, room), proof, id);
      return wrong.length === 0
        ? { index: frame.index }
        : { index: frame.index, damage: withoutId(wrong), wrong };
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

/** What is wrong with slots whose content is not what their ids say. */
export function withoutId(slots: readonly number[]): string {
  const [first = 0] = slots;
  const others = slots.length > 1 ? ` and ${slots.length - 1} more of the frame do` : ' does';
  return `slot ${first}${others} not have the content that the id says`;
}

/** What is wrong with a frame; anything but damage is thrown. */
export function damageOf(error: unknown): string {
  if (error instanceof Malformed) {
    return error.message;
  }
  throw error;
}
