import type { Extent } from '../disk/extent.ts';
import type { ExportFacts } from './negotiation.ts';

/** Large enough for few requests, small enough to spread one read over all connections. */
const PIECE_BYTES = 512 * 1024;

/** Cuts a range into requests that the server accepts. */
export function cut(
  extent: Extent,
  facts: Pick<ExportFacts, 'requestBytesMax' | 'blockBytesMin'>,
  pieceBytes: number = PIECE_BYTES,
): Extent[] {
  const most = Math.max(Math.min(pieceBytes, facts.requestBytesMax), facts.blockBytesMin);
  const step = most - (most % facts.blockBytesMin);
  const end = extent.offset + extent.length;
  const pieces: Extent[] = [];
  for (let offset = extent.offset; offset < end; offset += step) {
    pieces.push({ offset, length: Math.min(step, end - offset) });
  }
  return pieces;
}

/** Waits for all, then throws the first failure: afterwards none of them touches its buffer. */
export async function settleAll(running: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(running);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
}
