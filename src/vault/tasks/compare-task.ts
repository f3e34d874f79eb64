import type { ChunkIdFunction } from '../chunks/chunk-id.ts';

/** What a range of the bytes should be. */
export interface Expected {
  readonly offset: number;
  readonly length: number;
  /** Chunk id of the content; without one it should be zero. */
  readonly id?: Uint8Array;
}

/** Content to compare with what is known about it. */
export interface CompareTask {
  readonly kind: 'compare';
  readonly bytes: Uint8Array;
  readonly expected: readonly Expected[];
}

const ZEROES = Buffer.alloc(64 * 1024);

/** Returns the positions in `expected` whose content differs. */
export function runCompare({ bytes, expected }: CompareTask, id: ChunkIdFunction): number[] {
  const wrong: number[] = [];
  for (const [position, { offset, length, id: wanted }] of expected.entries()) {
    const content = bytes.subarray(offset, offset + length);
    const isRight = wanted === undefined ? isZero(content) : id(content).equals(wanted);
    if (!isRight) {
      wrong.push(position);
    }
  }
  return wrong;
}

function isZero(content: Uint8Array): boolean {
  for (let at = 0; at < content.length; at += ZEROES.length) {
    const piece = content.subarray(at, at + ZEROES.length);
    if (Buffer.compare(piece, ZEROES.subarray(0, piece.length)) !== 0) {
      return false;
    }
  }
  return true;
}
