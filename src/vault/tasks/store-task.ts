import { Fault } from '../../kernel/fault.ts';
import { closeSync, openSync, readSync } from '../../kernel/files/files.ts';
import {
  cutChunks,
  cutFunction,
  SECTOR_BYTES,
  type ChunkerParameters,
  type CutFunction,
} from '../chunks/chunk-cut.ts';
import {
  chunkIdFunction,
  type ChunkIdAlgorithm,
  type ChunkIdFunction,
} from '../chunks/chunk-id.ts';
import type { FrameKeys } from '../packs/frame.ts';
import { FrameStorer, type FreshChunk } from './frame-storer.ts';
import { ChunkLookup, type NeedFooter, type RunsMemory } from '../index/chunk-lookup.ts';
import { idWords } from '../index/index-table.ts';
import type { SlotPlace } from '../slots/slot-place.ts';
import type { PackMemory } from './pack-buffer.ts';
import type { FrameEntry } from '../packs/pack-layout.ts';
import {
  packChunks,
  unpackChunks,
  type PackedChunks,
  type PlacedChunk,
} from '../chunks/packed-chunks.ts';
import type { CompressionLevel } from '../bytes/zstd.ts';

/** What a worker needs to cut and name chunks. It stays the same for the life of a vault. */
export interface ChunkingSecrets {
  readonly chunker: ChunkerParameters;
  readonly chunkId: ChunkIdAlgorithm;
  readonly chunkIdKey: Uint8Array;
  readonly cutKey: Uint8Array;
}

/** A range of a disk to store, in sectors. */
export interface Piece {
  readonly start: number;
  readonly sectors: number;
}

export interface StoreTask {
  readonly kind: 'store';
  readonly pieces: readonly Piece[];
  /**
   * The slots that the last map uses whole, ascending: kept if their content is unchanged. Lost
   * ones are cut as they were and stored anew.
   */
  readonly known: PackedChunks;
  readonly sizeBytes: number;
  /** A raw image that the worker reads itself, or the bytes of all pieces one after another. */
  readonly input: { readonly path: string } | { readonly bytes: Uint8Array };
  readonly table: SharedArrayBuffer;
  readonly runs?: RunsMemory;
  readonly states: Int32Array;
  readonly session: number;
  readonly level: CompressionLevel;
  readonly pack: FrameKeys & { readonly number: number; readonly memory: PackMemory };
}

export interface StoreResult {
  /** Where the content is, ascending; sectors in no chunk are zero. */
  readonly chunks: PackedChunks;
  readonly frames: readonly FrameEntry[];
  /** Numbers of the first new frame and slot in the pack. */
  readonly frame: number;
  readonly slot: number;
  /** By new slot, in order. */
  readonly slotSectors: readonly number[];
  readonly slotIds: Uint8Array;
  readonly readBytes: number;
  readonly newBytes: number;
  readonly storedBytes: number;
}

interface CutChunk {
  readonly start: number;
  readonly sectors: number;
  readonly id: Uint8Array;
  /** Where the chunk is. For a new chunk, its index in `fresh`. */
  place: SlotPlace | number;
}

/**
 * Stores parts of a disk: cuts, names, looks up, compresses, encrypts and verifies. Runs in a
 * worker thread.
 */
export class ChunkStorer {
  readonly #rules: ChunkerParameters & { readonly cut: CutFunction };
  readonly #id: ChunkIdFunction;
  #file: { path: string; descriptor: number } | undefined;
  readonly #frames = new FrameStorer();
  #buffer = Buffer.alloc(0);

  readonly #lookup: ChunkLookup;

  /** @param need brings footers for lookups; without it only footers already there count */
  constructor(secrets: ChunkingSecrets, need?: NeedFooter) {
    this.#lookup = new ChunkLookup(need);
    const cut = cutFunction(secrets.cutKey, secrets.chunker.cutBits);
    this.#rules = { ...secrets.chunker, cut };
    this.#id = chunkIdFunction(secrets.chunkId, secrets.chunkIdKey);
  }

  run(task: StoreTask): StoreResult {
    const bytes = 'path' in task.input ? this.#readFile(task.input.path, task) : task.input.bytes;
    const found = this.#cut(task, bytes);
    const stored = this.#frames.store(task.pack, found.fresh, task.level);
    const { slot } = stored;
    const { number: pack } = task.pack;
    const chunks = found.chunks
      .sort((a, b) => a.start - b.start)
      .map(({ start, sectors, id, place }) => {
        const where = typeof place === 'number' ? { pack, slot: slot + place } : place;
        return { start, sectors, id, ...where };
      });
    return { chunks: packChunks(chunks), readBytes: bytes.length, ...stored };
  }

  /** Closes the image that was read last; the next task may read another. */
  close(): void {
    this.#lookup.close();
    this.#closeFile();
  }

  #closeFile(): void {
    if (this.#file !== undefined) {
      closeSync(this.#file.descriptor);
      this.#file = undefined;
    }
  }

  #cut(task: StoreTask, bytes: Uint8Array): { chunks: CutChunk[]; fresh: FreshChunk[] } {
    const lookUp = this.#lookup.use(task);
    const chunks: CutChunk[] = [];
    const fresh: FreshChunk[] = [];
    const freshOf = new Map<string, number>();
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const view = (sector: number, sectors: number): Uint8Array =>
      bytes.subarray(sector * SECTOR_BYTES, (sector + sectors) * SECTOR_BYTES);
    const place = (id: Uint8Array, sectors: number, content: Uint8Array): SlotPlace | number => {
      const text = Buffer.from(id).toString('latin1');
      const known = lookUp(idWords(id), sectors) ?? freshOf.get(text);
      if (known !== undefined) {
        return known;
      }
      freshOf.set(text, fresh.length);
      return fresh.push({ bytes: content, id }) - 1;
    };
    let base = 0;
    const knownChunks = unpackChunks(task.known);
    let next = 0;
    for (const piece of task.pieces) {
      const shift = piece.start - base;
      const firstKnown = next;
      while ((knownChunks[next]?.start ?? Infinity) < piece.start + piece.sectors) {
        next += 1;
      }
      for (const gap of this.#keepKnown(
        knownChunks.slice(firstKnown, next),
        piece,
        (known) => view(known.start - shift, known.sectors),
        (known, content) => {
          const { start, sectors, id, pack, slot, isLost } = known;
          const where = isLost === true ? place(id, sectors, content) : { pack, slot };
          chunks.push({ start, sectors, id, place: where });
        },
      )) {
        const range = { from: gap.start - shift, to: gap.start - shift + gap.sectors };
        cutChunks(words, range, this.#rules, (first, sectors) => {
          const content = view(first, sectors);
          const id = this.#id(content);
          chunks.push({ start: first + shift, sectors, id, place: place(id, sectors, content) });
        });
      }
      base += piece.sectors;
    }
    return { chunks, fresh };
  }

  /** Keeps the known slots of a piece whose content is unchanged. @returns what is left to cut */
  #keepKnown(
    knownChunks: readonly PlacedChunk[],
    piece: Piece,
    content: (known: Piece) => Uint8Array,
    keep: (known: PlacedChunk, content: Uint8Array) => void,
  ): Piece[] {
    const end = piece.start + piece.sectors;
    const gaps: Piece[] = [];
    let at = piece.start;
    for (const known of knownChunks) {
      const { start, sectors, id } = known;
      if (start < at || start + sectors > end || !this.#id(content(known)).equals(id)) {
        continue;
      }
      if (start > at) {
        gaps.push({ start: at, sectors: start - at });
      }
      keep(known, content(known));
      at = start + sectors;
    }
    if (at < end) {
      gaps.push({ start: at, sectors: end - at });
    }
    return gaps;
  }

  #readFile(path: string, { pieces, sizeBytes }: StoreTask): Uint8Array {
    const file = this.#open(path);
    const length = pieces.reduce((sum, { sectors }) => sum + sectors * SECTOR_BYTES, 0);
    if (this.#buffer.length < length) {
      this.#buffer = Buffer.from(new ArrayBuffer(length));
    }
    let at = 0;
    for (const { start, sectors } of pieces) {
      const offset = start * SECTOR_BYTES;
      const wanted = Math.min(sectors * SECTOR_BYTES, sizeBytes - offset);
      for (let done = 0; done < wanted;) {
        const count = readSync(file, this.#buffer, at + done, wanted - done, offset + done);
        if (count === 0) {
          throw sourceShort(path, offset + done);
        }
        done += count;
      }
      this.#buffer.fill(0, at + wanted, at + sectors * SECTOR_BYTES);
      at += sectors * SECTOR_BYTES;
    }
    return this.#buffer.subarray(0, length);
  }

  #open(path: string): number {
    if (this.#file?.path !== path) {
      this.#closeFile();
      this.#file = { path, descriptor: openSync(path, 'r') };
    }
    return this.#file.descriptor;
  }
}

function sourceShort(name: string, offset: number): Fault {
  return new Fault(
    'vault.source-short',
    `The source ${name} ends at byte ${offset}, before the size it was said to have. Was it changed during the backup? No recovery point was made.`,
    { offset },
  );
}
