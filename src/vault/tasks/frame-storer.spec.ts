import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { frameRoom, openFrame } from '../packs/frame.ts';
import { FrameStorer } from './frame-storer.ts';
import { newPackMemory, PackBuffer } from './pack-buffer.ts';
import { HEADER_BYTES } from '../format/pack-ends.ts';
import { PREFIX_BYTES } from '../packs/pack-layout.ts';

const KEYS = { key: new Uint8Array(32).fill(1), header: Buffer.alloc(HEADER_BYTES, 2) };

/** Returns what a pack holds after these sectors of one buffer were stored in this order. */
function stored(buffer: Uint8Array, order: readonly number[]): Uint8Array {
  const memory = newPackMemory(1024 * 1024);
  const pack = new PackBuffer(memory);
  pack.restart(KEYS.header);
  const fresh = order.map((sector) => ({
    bytes: buffer.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES),
    id: new Uint8Array(16).fill(sector),
  }));
  const { frames } = new FrameStorer().store({ ...KEYS, memory }, fresh, 2);
  const [frame] = frames;
  expect(frames).toHaveLength(1);
  const { sealedBytes = 0, rawBytes = 0, compressed = false } = frame ?? {};
  const sealed = pack.bytes.subarray(HEADER_BYTES, HEADER_BYTES + PREFIX_BYTES + sealedBytes);
  return Uint8Array.from(
    openFrame(KEYS, { index: 0, rawBytes, compressed }, sealed, frameRoom(rawBytes)),
  );
}

describe('chunks that share a frame', () => {
  it.each<[string, number[]]>([
    ['side by side', [0, 1, 2, 3]],
    ['with gaps', [0, 2, 4]],
    ['backwards', [3, 2, 1]],
    // The ends fit, but the sectors between them are out of order.
    ['out of order between ends that fit', [0, 1, 4, 3]],
    ['the same end twice', [0, 3, 1, 3]],
  ])('keep their content when they lie %s', (_where, order) => {
    const buffer = seededBytes('sectors', 5 * SECTOR_BYTES);

    const expected = Buffer.concat(
      order.map((sector) => buffer.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)),
    );
    expect(Buffer.compare(stored(buffer, order), expected)).toBe(0);
  });
});
