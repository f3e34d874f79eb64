import { zstdDecompressSync } from 'node:zlib';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  compress,
  compressBound,
  COMPRESSION_LEVELS,
  decompress,
  type CompressionLevel,
} from './zstd.ts';

/** One half random, the other the same words again and again. */
function content(seed: string, length: number): Uint8Array {
  const random = seededBytes(seed, Math.ceil(length / 2));
  return Uint8Array.from({ length }, (_, at) => random[at < length / 2 ? at : at % 97] ?? 0);
}

function compressed(raw: Uint8Array, level: CompressionLevel = 3): Uint8Array {
  return Uint8Array.from(compress(raw, new Uint8Array(compressBound(raw.length)), level));
}

function expanded(body: Uint8Array, rawBytes: number): Uint8Array {
  return Uint8Array.from(decompress(body, rawBytes, new Uint8Array(rawBytes + 1)));
}

describe('zstd with contexts that are used again', () => {
  it.each([0, 1, 4096, 100_001, 512 * 1024])(
    'gives %d bytes back, to itself and to zlib',
    (length) => {
      const raw = content('some', length);

      const body = compressed(raw);

      expect(Buffer.compare(expanded(body, length), raw)).toBe(0);
      expect(Buffer.compare(zstdDecompressSync(body), raw)).toBe(0);
    },
  );

  it.each(COMPRESSION_LEVELS)('gives back what level %d made', (level) => {
    const raw = content('level', 2 * 1024 * 1024);

    expect(Buffer.compare(expanded(compressed(raw, level), raw.length), raw)).toBe(0);
  });

  it('writes into shared memory', () => {
    const raw = content('shared', 50_000);
    const room = new Uint8Array(new SharedArrayBuffer(compressBound(raw.length)));

    const body = compress(raw, room, 2);

    expect(body.buffer === room.buffer).toBe(true);
    expect(Buffer.compare(zstdDecompressSync(Buffer.from(body)), raw)).toBe(0);
  });

  it('compresses right what has too little room', () => {
    const raw = content('tight', 50_000);

    const body = compress(raw, new Uint8Array(100), 3);

    expect(Buffer.compare(zstdDecompressSync(body), raw)).toBe(0);
    expect(Buffer.compare(zstdDecompressSync(compressed(raw)), raw)).toBe(0);
  });

  it.each<[string, (body: Uint8Array) => Uint8Array]>([
    ['is cut short', (body) => body.subarray(0, -10)],
    ['is cut to its header', (body) => body.subarray(0, 8)],
    ['is empty', () => new Uint8Array()],
    ['is no frame', () => seededBytes('noise', 1000)],
    ['has a damaged end', (body) => Buffer.concat([body.subarray(0, -3), Buffer.alloc(3, 0xff)])],
  ])('is right after a body that %s', (_what, damage) => {
    const raw = content('damaged', 200_000);
    const body = compressed(raw);
    let back: Uint8Array | undefined;
    try {
      back = expanded(damage(body), raw.length);
    } catch {
      // Refused, as it should be; the assertion is below.
    }

    expect(back?.length === raw.length).toBe(false);
    expect(Buffer.compare(expanded(body, raw.length), raw)).toBe(0);
  });

  it('never gives more than was announced', () => {
    const raw = content('bomb', 100_000);
    const body = compressed(raw);

    expect(() => expanded(body, raw.length - 2)).toThrow();
    expect(Buffer.compare(expanded(body, raw.length), raw)).toBe(0);
  });
});
