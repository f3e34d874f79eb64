import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { DedupIndex } from '../index/dedup-index.ts';
import { batches, sectorCount, type Run } from './disk-runs.ts';
import type { Fragment } from '../maps/leaf-fragments.ts';
import { LEAF_SECTORS } from '../maps/map-node.ts';
import { MapBuilder, type MapBuilderParts } from '../maps/map-builder.ts';
import type { MapRoot } from '../maps/map-tree.ts';
import type { PackAssembly } from './assembly/pack-assembly.ts';
import { BatchReader } from './batch-reader.ts';
import { ContentChanges, type StoredBatch } from './statistics/content-changes.ts';
import { KnownSlots } from './known-slots.ts';
import type { SpareInputs } from '../tasks/pack-buffer.ts';
import { unpackChunks } from '../chunks/packed-chunks.ts';
import type { DiskStatistics } from '../points/recovery-point.ts';
import type { Healing } from './healing.ts';
import type { SlotBitmap } from '../slots/used-slots.ts';
import type { SlotLookup } from '../slots/slot-set.ts';
import { runsToRead, type StorePlan } from './store-plan.ts';
import type { StoreResult } from '../tasks/store-task.ts';
import type { Running } from '../../kernel/progress.ts';
import type { TaskPool } from '../tasks/task-pool.ts';

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

interface InFlight {
  readonly runs: readonly Run[];
  readonly result: Promise<StoredBatch | undefined>;
}

/**
 * Stores one disk: has batches stored, as many at once as the workers can use, and builds the map
 * from their results in order.
 */
export class DiskStorer {
  readonly #parts: StorerParts;
  readonly #plan: StorePlan;
  readonly #running: Running;
  readonly #known: KnownSlots;
  readonly #reader: BatchReader;
  readonly #builder: MapBuilder;
  readonly #changes: ContentChanges;
  readonly #statistics = { readBytes: 0, newBytes: 0, storedBytes: 0 };

  constructor(parts: StorerParts, plan: StorePlan, running: Running) {
    this.#parts = parts;
    this.#plan = plan;
    this.#running = running;
    const { last, lastContentBytes, incremental, source } = plan;
    const { healing, excluded, map } = parts;
    const { numbers } = map.nodes.base;
    this.#known = new KnownSlots(plan, { numbers, excluded, healing });
    this.#reader = new BatchReader(source, parts.inputs);
    this.#changes = new ContentChanges({ last, lastContentBytes, incremental });
    this.#builder = new MapBuilder({
      ...map,
      ...(healing === undefined ? {} : { healing }),
      sizeBytes: source.sizeBytes,
      ...(last === undefined ? {} : incremental ? { inherited: last } : { similar: last }),
    });
  }

  async run(): Promise<{ root: MapRoot; statistics: DiskStatistics }> {
    const { signal } = this.#running;
    const { pool, healing } = this.#parts;
    const inFlight: InFlight[] = [];
    try {
      for await (const runs of batches(runsToRead(this.#plan, healing, signal))) {
        signal.throwIfAborted();
        const result = this.#store(runs);
        // Awaited in order below; until then a rejection must not end the process.
        result.catch(() => undefined);
        inFlight.push({ runs, result });
        while (inFlight.length > pool.depth) {
          await this.#take(inFlight);
        }
      }
      while (inFlight.length > 0) {
        await this.#take(inFlight);
      }
    } finally {
      await Promise.allSettled(inFlight.map(({ result }) => result));
      await pool.closeFiles();
    }
    const root = await this.#finishMap();
    return { root, statistics: { ...this.#statistics, ...this.#changes.statistics } };
  }

  /** Has the data of a batch stored. Resolves to undefined if all of it is zero. */
  async #store(runs: readonly Run[]): Promise<StoredBatch | undefined> {
    const { assembly, pool, index, map } = this.#parts;
    const { signal } = this.#running;
    const data = runs.filter(({ content }) => content === 'data');
    if (data.length === 0) {
      return undefined;
    }
    const pieces = data.map(({ start, sectors }) => ({ start, sectors }));
    const known = await this.#known.within(pieces, signal);
    const batch = await this.#reader.read(pieces, signal);
    const pack = await assembly.take();
    let result: StoreResult;
    try {
      result = await pool.run({
        kind: 'store',
        pieces,
        known,
        sizeBytes: this.#plan.source.sizeBytes,
        input: batch.input,
        ...index.memory,
        states: map.nodes.base.numbers.states,
        session: assembly.session,
        level: assembly.level,
        pack: pack.target,
      });
    } catch (error) {
      assembly.drop(pack, error);
      throw error;
    } finally {
      this.#reader.release(batch);
    }
    await assembly.give(pack, result);
    return { ...result, pack: pack.target.number };
  }

  /** Waits for the oldest batch, and covers its runs in the map. */
  async #take(inFlight: InFlight[]): Promise<void> {
    const [first] = inFlight;
    if (first === undefined) {
      return;
    }
    const { signal } = this.#running;
    signal.throwIfAborted();
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
      await this.#builder.cover({ from: start, to: end }, fragments.slice(from, next), signal);
    }
    await this.#changes.count(first.runs, result, signal);
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

  /**
   * Finishes the map. If the disk shrank, removes what the last leaf still holds beyond the new
   * end.
   */
  async #finishMap(): Promise<MapRoot> {
    const { source, last, incremental } = this.#plan;
    const { signal } = this.#running;
    const end = sectorCount(source.sizeBytes);
    const leafEnd = Math.ceil(end / LEAF_SECTORS) * LEAF_SECTORS;
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
}
