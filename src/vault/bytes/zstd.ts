import { isUint32Array } from 'node:util/types';
import {
  constants,
  createZstdCompress,
  createZstdDecompress,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';

/** zstd levels; docs/decisions/0034 says what each costs and saves. */
export type CompressionLevel = 1 | 2 | 3 | 4 | 5 | 6 | 7;
/** Level for what is stored for long and read by others: metadata, compacted and repaired packs. */
export const REWRITE_LEVEL: CompressionLevel = 3;
export const COMPRESSION_LEVELS: readonly CompressionLevel[] = [1, 2, 3, 4, 5, 6, 7];

const { ZSTD_c_windowLog: WINDOW, ZSTD_c_hashLog: HASH, ZSTD_c_chainLog: CHAIN } = constants;
/** Matches reach back to the start of the frame. */
const WHOLE_FRAME = 21;

/** Parameters that differ from zstd's own for a level. */
const TUNING: Partial<Record<CompressionLevel, Record<number, number>>> = {
  // A larger table: 2 % fewer bytes for 6 % of the speed.
  1: { [WINDOW]: WHOLE_FRAME, [HASH]: 15 },
  2: { [WINDOW]: WHOLE_FRAME },
  // Half the tables: they fit into a core's cache, 10 % faster for 1 % more bytes.
  3: { [HASH]: 16, [CHAIN]: 15 },
};

function parameters(level: CompressionLevel): Record<number, number> {
  return { [constants.ZSTD_c_compressionLevel]: level, ...TUNING[level] };
}

/** ZSTD_compressBound, rounded up: with this much room one call compresses everything. */
export function compressBound(bytes: number): number {
  return bytes + (bytes >> 8) + 1024;
}

/**
 * What a zstd stream of node:zlib has inside. This is undocumented, so it is checked before each
 * use. If it differs, the documented functions do the work; they make a new context and a new
 * buffer for every call. docs/decisions/0091 has what that costs.
 */
interface StreamParts {
  readonly _handle?: { readonly writeSync?: unknown } | null;
  readonly _writeState?: unknown;
}

type WriteSync = (
  this: unknown,
  ...parameters: [
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ]
) => void;

type Stream = ReturnType<typeof createZstdCompress> | ReturnType<typeof createZstdDecompress>;

/** One zstd context that a thread uses again and again. */
class Context {
  readonly #make: () => Stream;
  #stream: Stream | undefined;

  constructor(make: () => Stream) {
    this.#make = make;
  }

  /**
   * Returns the length of the output, or undefined if it is not whole or this machine has no such
   * context.
   */
  run(input: Uint8Array, output: Uint8Array): number | undefined {
    const stream = (this.#stream ??= this.#start());
    const { _handle: handle, _writeState: state } = stream as StreamParts;
    if (typeof handle?.writeSync !== 'function' || !isUint32Array(state)) {
      return undefined;
    }
    const places = [input, 0, input.length, output, 0, output.length] as const;
    (handle.writeSync as WriteSync).call(handle, constants.ZSTD_e_end, ...places);
    const [roomLeft = 0, inputLeft = 1] = state;
    if (inputLeft > 0 || roomLeft === 0 || stream.destroyed) {
      // It stopped in the middle of something, so the next call cannot use it.
      this.#stream = undefined;
      stream.destroy();
      return undefined;
    }
    return output.length - roomLeft;
  }

  #start(): Stream {
    // An error shows as output that is not whole; the stream reports it a second time.
    return this.#make().on('error', () => undefined);
  }
}

const compressors = new Map<CompressionLevel, Context>();
const decompressor = new Context(() => createZstdDecompress());

function compressor(level: CompressionLevel): Context {
  let context = compressors.get(level);
  if (context === undefined) {
    context = new Context(() => createZstdCompress({ params: parameters(level) }));
    compressors.set(level, context);
  }
  return context;
}

/**
 * Compresses into one zstd frame, in `room` (at least `compressBound`) or in a buffer of its own.
 */
export function compress(raw: Uint8Array, room: Uint8Array, level: CompressionLevel): Uint8Array {
  const length = compressor(level).run(raw, room);
  return length !== undefined
    ? room.subarray(0, length)
    : zstdCompressSync(raw, {
        // With less room zstd copies its input and compresses it piece by piece.
        chunkSize: compressBound(raw.length),
        pledgedSrcSize: raw.length,
        params: parameters(level),
      });
}

/**
 * Decompresses one zstd frame of `rawBytes`, in `room` (at least one byte more) or in a buffer of
 * its own. If the frame has another length, so has the result.
 * @throws what node:zlib throws for damage, or for longer content
 */
export function decompress(body: Uint8Array, rawBytes: number, room: Uint8Array): Uint8Array {
  const target = room.subarray(0, rawBytes + 1);
  if (decompressor.run(body, target) === rawBytes) {
    return target.subarray(0, rawBytes);
  }
  // The documented function decides what is damage. One byte more than expected: with the exact
  // size it makes a second pass to find the end.
  return zstdDecompressSync(body, {
    chunkSize: Math.max(rawBytes + 1, 64),
    maxOutputLength: rawBytes + 1,
  });
}
