import { setImmediate } from 'node:timers/promises';
import { isFault } from '../../kernel/fault.ts';
import { openFrame } from '../frame.ts';
import { frameRequests } from '../frame-requests.ts';
import { Malformed } from '../binary.ts';
import { PREFIX_BYTES } from '../pack-layout.ts';
import type { OpenPack, Packs } from '../packs.ts';

/** Reads all frames of an object, or those with some slots. @returns false if any is damaged, or the object is gone */
export async function readWhole(
  packs: Packs,
  open: OpenPack,
  signal: AbortSignal,
  slots?: readonly number[],
): Promise<boolean> {
  const { footer } = open;
  const wanted = slots && new Set(slots.map((slot) => footer.frameOf[slot]));
  const frames = footer.frames.filter(({ index }) => wanted?.has(index) ?? true);
  try {
    for (const request of frameRequests(frames)) {
      const bytes = await packs.range(open, request, signal);
      for (const frame of request.frames) {
        await setImmediate();
        const at = frame.offset - request.offset;
        openFrame(open, frame, bytes.subarray(at, at + PREFIX_BYTES + frame.sealedBytes));
      }
    }
    return true;
  } catch (error) {
    if (error instanceof Malformed || (isFault(error) && error.kind === 'integrity')) {
      return false;
    }
    throw error;
  }
}
