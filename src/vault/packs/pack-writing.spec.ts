import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { isFault } from '../../kernel/fault.ts';
import { packFrame } from './frame.ts';
import { HEADER_BYTES } from '../format/pack-ends.ts';
import { sealVerified } from './pack-writing.ts';

const KEYS = { key: new Uint8Array(32).fill(1), header: Buffer.alloc(HEADER_BYTES, 2) };

/**
 * Returns what `sealVerified` throws for a frame with a bit flipped between packing and reading
 * back.
 */
function damaged(content: Uint8Array, where: 'raw' | 'body'): unknown {
  const raw = Uint8Array.from(content);
  const { body, compressed } = packFrame(raw, 1);
  const packed = { raw, body: Uint8Array.from(body), compressed };
  const target = packed[where];
  target[target.length >> 1] = ~(target[target.length >> 1] ?? 0);
  try {
    sealVerified(KEYS, 0, packed);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('a frame that is written', () => {
  it.each([
    ['noise', seededBytes('noise', 8192)],
    ['text', Buffer.alloc(8192, 'the same words again ')],
  ])('of %s is sent only if it came back as it went in', (_kind, content) => {
    const { bytes, entry } = sealVerified(KEYS, 0, { raw: content, ...packFrame(content, 1) });

    expect(entry.rawBytes).toBe(content.length);
    expect(bytes.length).toBeGreaterThan(entry.sealedBytes);
    for (const where of ['raw', 'body'] as const) {
      expect(isFault(damaged(content, where), 'vault.write-damaged')).toBe(true);
    }
  });
});
