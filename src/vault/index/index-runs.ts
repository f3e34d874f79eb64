import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { systemCode, SystemFault } from '../../kernel/fault.ts';
import { readdir, rm, stat } from '../../kernel/files/files.ts';
import { makeFolders } from '../../kernel/files/folders.ts';
import type { PackName } from '../format/object-names.ts';
import type { PackNumbers } from '../packs/pack-numbers.ts';
import type { RunsMemory } from './chunk-lookup.ts';
import { FooterArena } from './footer-arena.ts';
import { openRun, removeRun, RunReader, type OpenedRun, type RunMemory } from './run-file.ts';
import type { RunDraft } from './run-draft.ts';
import { RUN_PACK_BYTES } from './run-format.ts';
import type { RecordSource, WrittenRun } from './run-writer.ts';
import type { RunAnswer, RunOrder } from './run-writer.worker.ts';
import { Spiller } from './spill.ts';

const ARENA_BYTES = 32 * 1024 * 1024;
/** This many runs of one size are merged into one of the next size. */
const RUNS_MERGED = 8;
const SMALLEST_RECORDS = 2 ** 16;
const RUN_FILE = /^([0-9a-f]{16})[.]run$/;
/** Files of a process that died while it wrote them. */
const LEFTOVER = /^[0-9a-f]{16}[.](?:spill|tmp|records)$/;
const LEFTOVER_AGE_MS = 24 * 60 * 60 * 1000;

interface KnownRun extends RunMemory {
  readonly name: string;
}

/** The runs in a cache folder: which packs they cover, and what threads need to look into them. */
export class IndexRuns {
  readonly #folder: string;
  readonly #numbers: PackNumbers;
  /** A byte per pack number: whether a run covers it. */
  #covered = new Uint8Array(2 ** 12);
  #arena: FooterArena | undefined;
  #runs: KnownRun[] = [];
  #memory: RunsMemory | undefined;
  #merging: Promise<void> | undefined;

  private constructor(folder: string, numbers: PackNumbers) {
    this.#folder = folder;
    this.#numbers = numbers;
  }

  /**
   * @param numbers knows the packs in the vault; records of other packs are dropped
   * @param nowMs to tell the age of what dead processes left behind
   */
  static async open(folder: string, numbers: PackNumbers, nowMs: number): Promise<IndexRuns> {
    await makeFolders(folder);
    const runs = new IndexRuns(folder, numbers);
    const files = await readdir(folder);
    const names = files.flatMap((file) => RUN_FILE.exec(file)?.[1] ?? []);
    const opened = await Promise.all(names.map((name) => openRun(folder, name)));
    const known = opened.filter((run) => run !== undefined);
    for (const run of known.sort((a, b) => b.header.records - a.header.records)) {
      await runs.#adopt(run);
    }
    await runs.#removeLeftovers(files, nowMs);
    return runs;
  }

  /** What lookups read from now on; undefined while there are no runs. */
  get memory(): RunsMemory | undefined {
    return this.#memory;
  }

  /** Made only when there are runs: most vaults are smaller. */
  get arena(): FooterArena {
    return (this.#arena ??= new FooterArena(ARENA_BYTES));
  }

  get records(): number {
    return this.#runs.reduce((sum, { header }) => sum + header.records, 0);
  }

  covers(pack: number): boolean {
    return this.#covered[pack] === 1;
  }

  draft(): RunDraft {
    return { spiller: new Spiller(this.#folder), packs: new Map() };
  }

  /** Makes a run from the draft. From now on it covers the draft's packs. */
  async add({ spiller, packs }: RunDraft): Promise<void> {
    try {
      await this.#write({ spiller, packs });
    } finally {
      spiller.remove();
    }
    this.#mergeLater();
  }

  async #write({ spiller, packs }: RunDraft): Promise<void> {
    spiller.flush();
    const names = [...packs.keys()].map((pack) => this.#numbers.name(pack));
    const numbers = Int32Array.from(names.keys());
    const sources = spiller.spills.map((spill) => ({ ...spill, packs: numbers }));
    const { name } = await writeInThread({ folder: this.#folder, packs: names, sources });
    const run = await openRun(this.#folder, name);
    if (run !== undefined) {
      await this.#adopt(run);
    }
  }

  /** Waits for a running merge. */
  async settle(): Promise<void> {
    await this.#merging;
  }

  async #adopt(run: OpenedRun): Promise<void> {
    const numbers = this.#numbersOf(run);
    if (!numbers.some((number) => number >= 0 && !this.covers(number))) {
      // A merge was killed before it removed its sources, or nothing of the run is in the vault.
      await removeRun(this.#folder, run.name);
      return;
    }
    this.#cover(numbers);
    const recordsPath = join(this.#folder, `${run.name}.records`);
    const { name, header, tables } = run;
    this.#set([...this.#runs, { name, header, tables, recordsPath, packs: numbers }]);
  }

  /** Returns the number of each pack of the run, or -1. */
  #numbersOf({ header, packTable }: OpenedRun): Int32Array {
    const numbers = new Int32Array(new SharedArrayBuffer(header.packs * 4));
    for (let pack = 0; pack < header.packs; pack++) {
      const record = packTable.subarray(pack * RUN_PACK_BYTES, (pack + 1) * RUN_PACK_BYTES);
      numbers[pack] = this.#numbers.findRecord(record) ?? -1;
    }
    return numbers;
  }

  #cover(packs: Int32Array): void {
    const most = packs.reduce((largest, number) => Math.max(largest, number), 0);
    if (most >= this.#covered.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(most + 1)));
      larger.set(this.#covered);
      this.#covered = larger;
    }
    for (const number of packs) {
      if (number >= 0) {
        this.#covered[number] = 1;
      }
    }
  }

  #set(runs: readonly KnownRun[]): void {
    // Most chunks are in the largest run.
    this.#runs = runs.toSorted((a, b) => b.header.records - a.header.records);
    this.#memory = {
      arena: this.arena.memory,
      runs: this.#runs.map(({ recordsPath, header, tables, packs }) => ({
        recordsPath,
        header,
        tables,
        packs,
      })),
    };
  }

  /** Starts a merge, beside everything else, if there are many runs of one size. */
  #mergeLater(): void {
    const tiers = Map.groupBy(this.#runs, ({ header }) =>
      Math.max(0, Math.floor(Math.log(header.records / SMALLEST_RECORDS) / Math.log(RUNS_MERGED))),
    );
    const many = [...tiers.values()].find((runs) => runs.length >= RUNS_MERGED);
    if (many !== undefined && this.#merging === undefined) {
      this.#merging = this.#merge(many)
        // The runs stay as they are, which is slower and not wrong.
        .catch(() => undefined)
        .finally(() => {
          this.#merging = undefined;
        });
    }
  }

  async #merge(runs: readonly KnownRun[]): Promise<void> {
    const local = new Map<number, number>();
    const names: PackName[] = [];
    const sources = runs.map((run): RecordSource => {
      const packs = run.packs.map((number) => {
        if (number < 0) {
          return -1;
        }
        const own = local.get(number) ?? names.push(this.#numbers.name(number)) - 1;
        local.set(number, own);
        return own;
      });
      const { recordsPath: path, header } = run;
      return { path, bucketBits: header.bucketBits, offsets: new RunReader(run).offsets, packs };
    });
    const { name } = await writeInThread({ folder: this.#folder, packs: names, sources });
    const merged = await openRun(this.#folder, name);
    if (merged === undefined) {
      return;
    }
    const numbers = this.#numbersOf(merged);
    const { header, tables } = merged;
    const recordsPath = join(this.#folder, `${name}.records`);
    const rest = this.#runs.filter((run) => !runs.includes(run));
    this.#set([...rest, { name, header, tables, recordsPath, packs: numbers }]);
    // Threads that have the files open go on reading them.
    await Promise.all(runs.map((run) => removeRun(this.#folder, run.name)));
  }

  async #removeLeftovers(files: readonly string[], nowMs: number): Promise<void> {
    const used = new Set(this.#runs.map(({ recordsPath }) => recordsPath));
    for (const file of files.filter((name) => LEFTOVER.test(name))) {
      const path = join(this.#folder, file);
      const ageMs = nowMs - (await modifiedMs(path));
      if (!used.has(path) && ageMs > LEFTOVER_AGE_MS) {
        await rm(path, { force: true });
      }
    }
  }
}

async function modifiedMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      return Infinity;
    }
    throw error;
  }
}

/** Runs in a worker thread, because sorting takes seconds to minutes. */
async function writeInThread(order: RunOrder): Promise<WrittenRun> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const url = new URL(`./run-writer.worker.${extension}`, import.meta.url);
  const worker = new Worker(url, { workerData: order });
  const [answer] = (await once(worker, 'message')) as [RunAnswer];
  if ('refused' in answer) {
    const { code, message, system } = answer.refused;
    throw new SystemFault(code, message, { path: order.folder, system }, undefined);
  }
  return answer.written;
}
