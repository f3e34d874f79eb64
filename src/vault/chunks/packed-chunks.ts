import { ID_BYTES } from './chunk-id.ts';
import type { SlotPlace } from '../slots/slot-place.ts';

/** A range of a disk, and the slot that has its content. */
export interface PlacedChunk extends Readonly<SlotPlace> {
  /** In sectors. */
  readonly start: number;
  readonly sectors: number;
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** True if the slot can no longer be read. */
  readonly isLost?: boolean;
}

/**
 * Chunks on their way between threads: copying them as objects takes as long as hashing their
 * content.
 */
export interface PackedChunks {
  /** Per chunk: start, sectors, pack, slot, and 1 if its slot is lost. */
  readonly numbers: Float64Array;
  /** 16 bytes per chunk. */
  readonly ids: Uint8Array;
}

const FIELDS = 5;

export function packChunks(chunks: readonly PlacedChunk[]): PackedChunks {
  const numbers = new Float64Array(chunks.length * FIELDS);
  const ids = new Uint8Array(chunks.length * ID_BYTES);
  for (const [index, { start, sectors, pack, slot, id, isLost }] of chunks.entries()) {
    numbers.set([start, sectors, pack, slot, isLost === true ? 1 : 0], index * FIELDS);
    ids.set(id, index * ID_BYTES);
  }
  return { numbers, ids };
}

/** Unpacks chunks. Their ids are views of the packed ones. */
export function unpackChunks({ numbers, ids }: PackedChunks): PlacedChunk[] {
  return Array.from({ length: numbers.length / FIELDS }, (_, index) => {
    const at = index * FIELDS;
    return {
      start: numbers[at] ?? 0,
      sectors: numbers[at + 1] ?? 0,
      pack: numbers[at + 2] ?? 0,
      slot: numbers[at + 3] ?? 0,
      isLost: numbers[at + 4] === 1,
      id: ids.subarray(index * ID_BYTES, (index + 1) * ID_BYTES),
    };
  });
}
