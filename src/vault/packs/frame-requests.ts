import { PREFIX_BYTES, type PackFrame } from './pack-layout.ts';

/** Size of one ranged GET: a few frames, so that many requests can run in little memory. */
const REQUEST_BYTES = 1024 * 1024;
/** A gap up to this size is fetched too: cheaper than one more request. */
const GAP_BYTES = 64 * 1024;

/** Frames of one pack that are fetched together. */
export interface FrameRequest {
  readonly offset: number;
  readonly length: number;
  readonly frames: readonly PackFrame[];
}

/** Joins frames that lie close together. */
export function frameRequests(
  frames: Iterable<PackFrame>,
  requestBytes = REQUEST_BYTES,
): FrameRequest[] {
  const requests: { offset: number; length: number; frames: PackFrame[] }[] = [];
  for (const frame of [...frames].sort((a, b) => a.offset - b.offset)) {
    const last = requests.at(-1);
    const end = frame.offset + PREFIX_BYTES + frame.sealedBytes;
    const lastEnd = last === undefined ? 0 : last.offset + last.length;
    if (
      last !== undefined &&
      frame.offset - lastEnd <= GAP_BYTES &&
      end - last.offset <= requestBytes
    ) {
      last.length = end - last.offset;
      last.frames.push(frame);
    } else {
      requests.push({ offset: frame.offset, length: end - frame.offset, frames: [frame] });
    }
  }
  return requests;
}
