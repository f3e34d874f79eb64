import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import type { DiskReader } from '../../disk/disk-reader.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { DedupIndex } from '../index/dedup-index.ts';
import { batches, changedRuns, dataRuns, sectorCount, type Run } from './disk-runs.ts';
import type { Fragment } from '../maps/leaf-fragments.ts';
import { LEAF_SECTORS } from '../maps/map-node.ts';
import { MapBuilder, type MapBuilderParts } from '../maps/map-builder.ts';
import type { MapRoot, MapTree } from '../maps/map-tree.ts';
import { BATCH_BYTES } from './assembly/batch-limits.ts';
import type { PackAssembly } from './assembly/pack-assembly.ts';
import type { SpareInputs } from '../tasks/pack-buffer.ts';
import {
  packChunks,
  unpackChunks,
  type PackedChunks,
  type PlacedChunk,
} from '../chunks/packed-chunks.ts';
import type { DiskStatistics } from '../points/recovery-point.ts';
import type { Healing } from './healing.ts';
import type { SlotBitmap } from '../slots/used-slots.ts';
import type { SlotLookup } from '../slots/slot-set.ts';
import type { Piece, StoreResult } from '../tasks/store-task.ts';
import type { DiskSource } from './new-point.ts';
import type { Running } from '../../kernel/progress.ts';
import type { TaskPool } from '../tasks/task-pool.ts';

const READS_AT_ONCE = 16;

export interface StorerParts {
  readonly pool: TaskPool;
  readonly index: DedupIndex;
  readonly assembly: PackAssembly;
  readonly inputs: SpareInputs;
  /** Slots that must not be used again. */
  readonly excluded: SlotLookup;
  /** Filled with the slots that were not inherited. */
  readonly used: SlotBitmap;
  readonly map: Pick<MapBuilderParts, 'nodes' | 'metadata' | 'builtOn'>;
  /** Damage in the vault that this backup may heal. */
  readonly healing?: Healing;
}

/** How to read one disk. */
export interface StorePlan {
  readonly source: DiskSource;
  /** The disk's map in the parent point. */
  readonly last?: MapTree;
  /** If true, only what changed since `last` is read. */
  readonly incremental: boolean;
}

interface InFlight {
  readonly runs: readonly Run[];
  readonly result: Promise<StoreResult | undefined>;
}

/** Stores one disk: reads it in batches, has workers store them, builds its map. */
export class DiskStorer {
  readonly #parts: StorerParts;
  readonly #plan: StorePlan;
  readonly #running: Running;
  readonly #builder: MapBuilder;
  readonly #statistics = { readBytes: 0, newBytes: 0, storedBytes: 0 };
  #lastLeaf: { index: number; fragments: Fragment[] } = { index: -1, fragments: [] };

  constructor(parts: StorerParts, plan: StorePlan, running: Running) {
    this.#parts = parts;
    this.#plan = plan;
    this.#running = running;
    const { last, incremental, source } = plan;
    const { healing } = parts;
    this.#builder = new MapBuilder({
      ...parts.map,
      ...(healing === undefined ? {} : { healing }),
      sizeBytes: source.sizeBytes,
      ...(last === undefined ? {} : incremental ? { inherited: last } : { similar: last }),
    });
  }

  async run(): Promise<{ root: MapRoot; statistics: DiskStatistics }> {
    const { signal } = this.#running;
    const inFlight: InFlight[] = [];
    try {
      for await (const runs of batches(this.#runs())) {
        signal.throwIfAborted();
        const result = this.#store(runs);
        // Awaited in order below; until then a rejection must not end the process.
        result.catch(() => undefined);
        inFlight.push({ runs, result });
        while (inFlight.length > this.#parts.pool.depth) {
          await this.#take(inFlight);
        }
      }
      while (inFlight.length > 0) {
        await this.#take(inFlight);
      }
    } finally {
      await Promise.allSettled(inFlight.map(({ result }) => result));
      await this.#parts.pool.closeFiles();
    }
    const root = await this.#finishMap();
    return { root, statistics: this.#statistics };
  }

  async *#runs(): AsyncIterable<Run> {
    const { source, last, incremental } = this.#plan;
    const { reader, sizeBytes, changes } = source;
    const { signal } = this.#running;
    if (!incremental || last === undefined || changes.method !== 'changed-extents') {
      yield* dataRuns(reader.extents(signal), sizeBytes);
      return;
    }
    const lost = (await this.#parts.healing?.lostExtents(last, signal)) ?? [];
    const extents = [...changes.extents, ...lost];
    const before = last.root.sizeBytes;
    if (sizeBytes > before) {
      // Reads the part that was added, whatever the change log says about it.
      for await (const extent of reader.extents(signal, {
        offset: before,
        length: sizeBytes - before,
      })) {
        if (extent.content === 'data') {
          extents.push(extent);
        }
      }
    }
    yield* changedRuns(extents, sizeBytes, before);
  }

  /**
   * Finishes the map. If the disk shrank, removes what the last leaf still holds beyond the new
   * end.
   */
  async #finishMap(): Promise<MapRoot> {
    const { source, last, incremental } = this.#plan;
    const end = sectorCount(source.sizeBytes);
    const leafEnd = Math.ceil(end / LEAF_SECTORS) * LEAF_SECTORS;
    const { signal } = this.#running;
    if (
      incremental &&
      last !== undefined &&
      last.root.sizeBytes > source.sizeBytes &&
      leafEnd > end
    ) {
      await this.#builder.cover({ from: end, to: leafEnd }, [], signal);
    }
    return this.#builder.finish(signal);
  }

  async #take(inFlight: InFlight[]): Promise<void> {
    const [first] = inFlight;
    if (first === undefined) {
      return;
    }
    this.#running.signal.throwIfAborted();
    const result = await first.result;
    inFlight.shift();
    const fragments = result === undefined ? [] : this.#fragments(result);
    let next = 0;
    for (const { start, sectors } of first.runs) {
      const end = start + sectors;
      const from = next;
      while ((fragments[next]?.start ?? Infinity) < end) {
        next += 1;
      }
      const inside = fragments.slice(from, next);
      await this.#builder.cover({ from: start, to: end }, inside, this.#running.signal);
    }
    this.#report(first.runs, result);
  }

  #fragments({ chunks }: StoreResult): Fragment[] {
    return unpackChunks(chunks).map(({ start, sectors, pack, slot, id }) => {
      this.#parts.used.add(pack, slot);
      this.#parts.healing?.stored(id, { pack, slot });
      return { start, sectors, pack, slot, first: 0, slotSectors: sectors, id };
    });
  }

  #report(runs: readonly Run[], result: StoreResult | undefined): void {
    this.#statistics.readBytes += result?.readBytes ?? 0;
    this.#statistics.newBytes += result?.newBytes ?? 0;
    this.#statistics.storedBytes += result?.storedBytes ?? 0;
    const { source } = this.#plan;
    const last = runs.at(-1);
    const position = ((last?.start ?? 0) + (last?.sectors ?? 0)) * SECTOR_BYTES;
    const doneBytes = Math.min(position, source.sizeBytes);
    this.#running.report?.({ phase: 'reading', doneBytes, totalBytes: source.sizeBytes });
  }

  async #store(runs: readonly Run[]): Promise<StoreResult | undefined> {
    const { assembly, pool, index } = this.#parts;
    const pieces = runs.filter(({ content }) => content === 'data');
    if (pieces.length === 0) {
      return undefined;
    }
    const known = await this.#known(pieces);
    const { source } = this.#plan;
    const path = source.reader.rawFile;
    const buffer = path === undefined ? await this.#read(source.reader, pieces) : undefined;
    const filling = await assembly.take();
    let result: StoreResult;
    try {
      result = await pool.run({
        kind: 'store',
        pieces: pieces.map(({ start, sectors }) => ({ start, sectors })),
        known,
        sizeBytes: source.sizeBytes,
        input: path === undefined ? { bytes: buffer?.view ?? new Uint8Array() } : { path },
        ...index.memory,
        states: this.#parts.map.nodes.base.numbers.states,
        session: assembly.session,
        level: assembly.level,
        pack: filling.target,
      });
    } catch (error) {
      assembly.drop(filling, error);
      throw error;
    } finally {
      if (buffer !== undefined) {
        this.#parts.inputs.give([buffer.whole]);
      }
    }
    await assembly.give(filling, result);
    return result;
  }

  /**
   * Returns slots that the last map uses whole: their content is compared in place, wherever the
   * cuts are now. Lost ones are cut the same way, so that what is stored anew has their ids.
   */
  async #known(pieces: readonly Piece[]): Promise<PackedChunks> {
    const { last, incremental } = this.#plan;
    const { healing } = this.#parts;
    const known: PlacedChunk[] = [];
    if (last === undefined || (incremental && healing?.knowsNoDamage !== false)) {
      return packChunks(known);
    }
    for (const piece of pieces) {
      const leaf = Math.floor(piece.start / LEAF_SECTORS);
      const base = leaf * LEAF_SECTORS;
      const fragments = await this.#leaf(last, leaf);
      const end = piece.start + piece.sectors - base;
      for (let index = firstFrom(fragments, piece.start - base); ; index++) {
        const fragment = fragments[index];
        if (fragment === undefined || fragment.start + fragment.sectors > end) {
          break;
        }
        const use = this.#useOf(fragment);
        if (use !== 'none') {
          const { start, sectors, pack, slot, id } = fragment;
          const isLost = use === 'store-anew';
          known.push({ start: start + base, sectors, pack, slot, id, isLost });
        }
      }
    }
    return packChunks(known);
  }

  /** Decides what to do with a slot whose content is unchanged. */
  #useOf(fragment: Fragment): 'keep' | 'store-anew' | 'none' {
    const { pack, slot, first, sectors, slotSectors } = fragment;
    const { map, excluded, healing } = this.#parts;
    if (first > 0 || sectors < slotSectors) {
      return 'none';
    }
    if (healing?.isLost(fragment) === true) {
      return 'store-anew';
    }
    const isKept =
      !this.#plan.incremental && !excluded.has(map.nodes.base.numbers.name(pack).ulid, slot);
    return isKept ? 'keep' : 'none';
  }

  async #leaf(tree: MapTree, index: number): Promise<readonly Fragment[]> {
    if (this.#lastLeaf.index !== index) {
      const fragments = await tree.leaf(index, this.#running.signal);
      this.#lastLeaf = { index, fragments };
    }
    return this.#lastLeaf.index === index
      ? this.#lastLeaf.fragments
      : tree.leaf(index, this.#running.signal);
  }

  async #read(
    reader: DiskReader,
    pieces: readonly Piece[],
  ): Promise<{ view: Uint8Array; whole: SharedArrayBuffer }> {
    const whole = this.#parts.inputs.take(BATCH_BYTES);
    const bytes = new Uint8Array(whole);
    const { sizeBytes } = this.#plan.source;
    let at = 0;
    const reads = pieces.map(({ start, sectors }) => {
      const target = bytes.subarray(at, at + sectors * SECTOR_BYTES);
      at += sectors * SECTOR_BYTES;
      const offset = start * SECTOR_BYTES;
      const wanted = Math.min(target.length, sizeBytes - offset);
      target.fill(0, wanted);
      return { offset, target: target.subarray(0, wanted) };
    });
    const { signal } = this.#running;
    await mapAtOnce(reads, READS_AT_ONCE, async ({ offset, target }) =>
      reader.read(offset, target, signal),
    );
    return { view: bytes.subarray(0, at), whole };
  }
}

/** Returns the index of the first fragment that begins at `start` or later. */
function firstFrom(fragments: readonly Fragment[], start: number): number {
  let [low, high] = [0, fragments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((fragments[middle]?.start ?? Infinity) < start) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
