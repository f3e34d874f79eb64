import { byteSwapped } from '../bytes/binary.ts';
import { IndexTable } from './index-table.ts';
import type { SlotPlace } from '../slots/slot-place.ts';
import { PACK_USABLE } from '../packs/pack-numbers.ts';
import { ArenaView } from './footer-arena.ts';
import { RunReader, type RunMemory } from './run-file.ts';

/** What a thread needs to look chunks up in a vault that has runs. */
export interface RunsMemory {
  readonly runs: readonly RunMemory[];
  readonly arena: SharedArrayBuffer;
}

export interface LookupMemory {
  readonly table: SharedArrayBuffer;
  readonly runs?: RunsMemory;
  readonly states: Int32Array;
  readonly session: number;
}

/** Brings the footer of a pack into the arena, and waits for it. */
export type NeedFooter = (pack: number) => void;

/**
 * Finds the slot of a chunk: in the table of what this process has stored or loaded, else beside
 * the last hit (neighbours were stored together), else in the runs. A run only says where to look:
 * a hit counts when the pack's authenticated footer has the whole id and the same length. Each
 * thread has its own.
 */
export class ChunkLookup {
  readonly #need: NeedFooter | undefined;
  readonly #readers = new Map<string, RunReader>();
  #arena: { memory: SharedArrayBuffer; view: ArenaView } | undefined;
  #last: SlotPlace = { pack: 0, slot: 0 };

  /** @param need without it, footers that are not in the arena are not used */
  constructor(need?: NeedFooter) {
    this.#need = need;
  }

  /** Looks in this memory from now on. Call it once per task: tables and runs get replaced. */
  use(memory: LookupMemory): (id: Uint32Array, sectors: number) => SlotPlace | undefined {
    const table = new IndexTable(memory.table);
    const { runs, states } = memory;
    if (runs === undefined || runs.runs.length === 0) {
      return (id, sectors) => table.lookup(id, sectors, memory);
    }
    const readers = this.#readersOf(runs.runs);
    const arena = this.#arenaOf(runs.arena);
    return (id, sectors) =>
      table.lookup(id, sectors, memory) ?? this.#inRuns(id, sectors, { readers, arena, states });
  }

  close(): void {
    for (const reader of this.#readers.values()) {
      reader.close();
    }
    this.#readers.clear();
  }

  #inRuns(
    id: Uint32Array,
    sectors: number,
    { readers, arena, states }: { readers: RunReader[]; arena: ArenaView; states: Int32Array },
  ): SlotPlace | undefined {
    const isUsable = (pack: number): boolean => Atomics.load(states, pack) === PACK_USABLE;
    const next = { pack: this.#last.pack, slot: this.#last.slot + 1 };
    if (arena.check(next, id, sectors) === 'same' && isUsable(next.pack)) {
      this.#last = next;
      return next;
    }
    // Ids are read as little-endian words; runs are sorted by their bytes.
    const [high, low] = [byteSwapped(id[0] ?? 0), byteSwapped(id[1] ?? 0)];
    let hit: SlotPlace | undefined;
    const found = (pack: number, slot: number): boolean => {
      const place = { pack, slot };
      if (!isUsable(pack) || this.#check(arena, place, id, sectors) !== 'same') {
        return false;
      }
      hit = place;
      return true;
    };
    for (const reader of readers) {
      if (reader.find(high, low, found)) {
        break;
      }
    }
    this.#last = hit ?? this.#last;
    return hit;
  }

  #check(arena: ArenaView, place: SlotPlace, id: Uint32Array, sectors: number): string {
    const answer = arena.check(place, id, sectors);
    if (answer !== 'absent' || this.#need === undefined) {
      return answer;
    }
    this.#need(place.pack);
    return arena.check(place, id, sectors);
  }

  #readersOf(runs: readonly RunMemory[]): RunReader[] {
    const paths = new Set(runs.map(({ recordsPath }) => recordsPath));
    for (const [path, reader] of this.#readers) {
      if (!paths.has(path)) {
        reader.close();
        this.#readers.delete(path);
      }
    }
    return runs.map((memory) => {
      const known = this.#readers.get(memory.recordsPath);
      const reader = known ?? new RunReader(memory);
      this.#readers.set(memory.recordsPath, reader);
      return reader;
    });
  }

  #arenaOf(memory: SharedArrayBuffer): ArenaView {
    if (this.#arena?.memory !== memory) {
      this.#arena = { memory, view: new ArenaView(memory) };
    }
    return this.#arena.view;
  }
}
