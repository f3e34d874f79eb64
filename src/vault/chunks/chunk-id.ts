import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { Fault } from '../../kernel/fault.ts';

export type ChunkIdAlgorithm = 'blake3' | 'hmac-sha256';
export const ID_BYTES = 16;

/** The id of a chunk, 16 bytes. */
export type ChunkIdFunction = (content: Uint8Array) => Buffer;

interface KeyedHasher {
  reset(): void;
  update(content: Uint8Array): KeyedHasher;
  digest(format: 'hex'): string;
}
interface Addon {
  readonly Blake3Hasher: { newKeyed(key: Buffer): KeyedHasher };
}

/**
 * @throws Fault `vault.chunk-id-unavailable` if the vault uses BLAKE3 and the add-on does not load
 *   on this machine. Restoring does not need it.
 */
export function chunkIdFunction(algorithm: ChunkIdAlgorithm, key: Uint8Array): ChunkIdFunction {
  if (algorithm === 'hmac-sha256') {
    return (content) => createHmac('sha256', key).update(content).digest().subarray(0, ID_BYTES);
  }
  const hasher = loadAddon().Blake3Hasher.newKeyed(Buffer.from(key));
  return (content) => {
    hasher.reset();
    // As text, because the engine keeps account of each buffer that the add-on makes: one per chunk
    // made a scan of unchanged data 10 % slower.
    const text = hasher.update(content).digest('hex');
    return Buffer.from(text.slice(0, 2 * ID_BYTES), 'hex');
  };
}

function loadAddon(): Addon {
  try {
    return createRequire(import.meta.url)('@napi-rs/blake-hash') as Addon;
  } catch (error) {
    throw new Fault(
      'vault.chunk-id-unavailable',
      'The BLAKE3 add-on does not load on this machine, and this vault needs it to back up or to verify at level 3. Restoring works without it.',
      {},
      { cause: error },
    );
  }
}
