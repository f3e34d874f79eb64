import zstd from 'zstd-codec';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { packFrame } from './frame.ts';

/** The part of zstd-codec that is used; the package has no types. */
interface Codec {
  readonly Simple: new () => {
    decompress(content: Uint8Array): Uint8Array | null;
    compress(content: Uint8Array, level: number): Uint8Array | null;
  };
}

const { ZstdCodec } = zstd as { ZstdCodec: { run(use: (codec: Codec) => void): void } };

async function openCodec(): Promise<InstanceType<Codec['Simple']>> {
  const codec = await new Promise<Codec>((resolve) => {
    ZstdCodec.run(resolve);
  });
  return new codec.Simple();
}

/** Text-like content: the same random words again and again. */
function compressible(length: number): Uint8Array {
  const words = seededBytes('words', 4096);
  return Uint8Array.from({ length }, (_, index) => words[(index * 7) % 509] ?? 0);
}

describe('the content of a frame', () => {
  it.each([4096, 65_536, 512 * 1024])(
    'of %d bytes is read by a decoder of other authors too',
    async (length) => {
      const codec = await openCodec();
      const raw = compressible(length);

      const { body, compressed } = packFrame(raw, 3);

      expect(compressed).toBe(true);
      expect(Buffer.from(codec.decompress(body) ?? []).equals(raw)).toBe(true);
    },
  );
});
