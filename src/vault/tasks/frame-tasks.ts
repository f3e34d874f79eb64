import { createHash } from 'node:crypto';
import { Malformed } from '../bytes/binary.ts';
import { chunkIdFunction, type ChunkIdFunction } from '../chunks/chunk-id.ts';
import { frameRoom, openFrame, type FrameKeys, type FrameShape } from '../packs/frame.ts';
import { DATA_FRAME_BYTES } from '../packs/pack-layout.ts';
import { wrongSlots, type SlotIds } from '../packs/slot-ids.ts';
import type { ChunkingSecrets } from './store-task.ts';

/** A frame inside the bytes that were fetched. */
export interface FetchedFrame extends FrameShape {
  readonly offset: number;
  /** Including the prefix. */
  readonly length: number;
}

/** A frame, with the slots whose ids are to be computed, if any. */
export type FrameToOpen = FetchedFrame & { readonly proof?: SlotIds };

/** Decrypts frames of one pack. */
export interface OpenTask {
  readonly kind: 'open';
  readonly keys: FrameKeys;
  readonly bytes: Uint8Array;
  readonly frames: readonly FrameToOpen[];
}

/**
 * A decrypted frame with the slots that do not match their ids, or what is wrong with all of it.
 */
export type OpenedFrame =
  | { readonly raw: Uint8Array; readonly wrong: readonly number[] }
  | { readonly index: number; readonly damage: string };

/** Decrypts frames and recomputes the ids of their slots, without returning the content. */
export interface CheckTask {
  readonly kind: 'check';
  readonly keys: FrameKeys;
  readonly bytes: Uint8Array;
  readonly frames: readonly (FetchedFrame & { readonly proof: SlotIds })[];
}

export interface CheckedFrame {
  readonly index: number;
  readonly damage?: string;
  /** Slots that are damaged. If there is damage and no list, the whole frame is. */
  readonly wrong?: readonly number[];
}

export interface DigestTask {
  readonly kind: 'digest';
  readonly bytes: Uint8Array;
}

/** @param id called when the first frame needs ids */
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

/** Describes slots whose content does not match their ids. */
export function withoutId(slots: readonly number[]): string {
  const [first = 0] = slots;
  const others = slots.length > 1 ? ` and ${slots.length - 1} more of the frame do` : ' does';
  return `slot ${first}${others} not have the content that the id says`;
}

/** Describes what is wrong with a frame; throws anything but damage. */
export function damageOf(error: unknown): string {
  if (error instanceof Malformed) {
    return error.message;
  }
  throw error;
}
