import { isIntegrity } from '../../../kernel/fault.ts';
import { fetched, type FrameFetcher } from '../../tasks/frame-fetcher.ts';
import type { OpenPack } from '../../packs/open-pack.ts';
import { checkFrames } from '../../checks/frame-check.ts';

/**
 * G3.g: reads all frames of an object, or those with the given slots, and recomputes the ids of
 * their content. Call it before you remove another copy of these slots.
 * @returns false if a frame is damaged, the object is gone, or this machine cannot compute ids
 */
export async function readWhole(
  fetcher: FrameFetcher,
  open: OpenPack,
  signal: AbortSignal,
  slots?: readonly number[],
): Promise<boolean> {
  const { footer } = open;
  const wanted = slots && new Set(slots);
  const framesOf = slots && new Set(slots.map((slot) => footer.frameOf[slot]));
  const frames = footer.frames.filter(({ index }) => framesOf?.has(index) ?? true);
  try {
    for (const request of fetcher.requests(frames)) {
      const bytes = await fetcher.fetch(open, request, signal);
      const parts = request.frames.map((frame) => fetched(frame, request));
      const checked = await checkFrames(fetcher, { pack: open, bytes, frames: parts });
      const isDamaged = checked.some(
        ({ damage, wrong }) =>
          damage !== undefined &&
          (wrong === undefined || wrong.some((slot) => wanted?.has(slot) !== false)),
      );
      if (isDamaged || (open.name.kind === 'data' && !fetcher.ids.areMade)) {
        return false;
      }
    }
    return true;
  } catch (error) {
    if (isIntegrity(error)) {
      return false;
    }
    throw error;
  }
}
