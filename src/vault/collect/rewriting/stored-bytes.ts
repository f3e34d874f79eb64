import type { PackFooter } from '../../packs/pack-layout.ts';

/** Returns what a slot takes in the store: its share of the frame it was compressed in. */
export function storedBytes(footer: PackFooter, slot: number): number {
  const frame = footer.frames[footer.frameOf[slot] ?? 0];
  if (frame === undefined) {
    return 0;
  }
  const { firstSlot, slots, sealedBytes } = frame;
  let all = 0;
  for (let other = firstSlot; other < firstSlot + slots; other++) {
    all += footer.size(other);
  }
  return all === 0 ? 0 : (sealedBytes * footer.size(slot)) / all;
}

/** Sums that up over the slots that are counted. */
export function storedBytesOf(footer: PackFooter, isCounted: (slot: number) => boolean): number {
  let bytes = 0;
  for (const { firstSlot, slots, sealedBytes } of footer.frames) {
    let all = 0;
    let counted = 0;
    for (let slot = firstSlot; slot < firstSlot + slots; slot++) {
      const size = footer.size(slot);
      all += size;
      counted += size > 0 && isCounted(slot) ? size : 0;
    }
    bytes += all === 0 ? 0 : (sealedBytes * counted) / all;
  }
  return bytes;
}
