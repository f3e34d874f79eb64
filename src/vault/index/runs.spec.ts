import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededNumbers } from '../../../test/support/random/seeded-numbers.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import type { PackName } from '../format/object-names.ts';
import { newUlid } from '../bytes/ulid.ts';
import { openRun, RunReader, type OpenedRun, type RunMemory } from './run-file.ts';
import { encodeRunPack } from './run-format.ts';
import { writeRun } from './run-writer.ts';
import { Spiller, word } from './spill.ts';

const IDS = 9000;
const PACK_SLOTS = 100;

function memoryOf(folder: string, run: OpenedRun): RunMemory {
  const packs = Int32Array.from({ length: run.header.packs }, (_, index) => index);
  const { header, tables } = run;
  return { recordsPath: join(folder, `${run.name}.records`), header, tables, packs };
}

function find(reader: RunReader, id: Uint8Array): string[] {
  const found: string[] = [];
  reader.find(word(id, 0), word(id, 4), (pack, slot) => {
    found.push(`${pack}/${slot}`);
    return false;
  });
  return found;
}

describe('a run', () => {
  let folder: string;
  const all = seededBytes('ids', IDS * 16);
  const id = (index: number): Uint8Array => all.subarray(index * 16, index * 16 + 16);
  const packs: PackName[] = Array.from({ length: IDS / PACK_SLOTS }, (_, index) => ({
    kind: 'data',
    ulid: newUlid(index + 1),
    generation: index,
    rand: index.toString(16).padStart(32, '0'),
  }));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-runs-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const spilled = (from: number, end: number): Spiller => {
    const spiller = new Spiller(folder, 2500);
    for (let index = from; index < end; index++) {
      spiller.add(id(index), Math.floor(index / PACK_SLOTS), index % PACK_SLOTS);
    }
    spiller.flush();
    return spiller;
  };

  const written = async (spiller: Spiller, map = Int32Array.from(packs.keys())) => {
    const { name } = writeRun(
      folder,
      packs,
      spiller.spills.map((spill) => ({ ...spill, packs: map })),
    );
    spiller.remove();
    const run = await openRun(folder, name);
    if (run === undefined) {
      throw new Error('the run does not open');
    }
    return run;
  };

  it('finds the slot of every id in it, and hardly reads for others', async () => {
    const run = await written(spilled(0, IDS));
    const reader = new RunReader(memoryOf(folder, run));

    expect(run.packTable).toEqual(Buffer.concat(packs.map(encodeRunPack)));
    expect(run.header.records).toBe(IDS);
    const wrong = Array.from({ length: IDS }, (_, index) => index).filter(
      (index) =>
        find(reader, id(index)).join() !==
        `${Math.floor(index / PACK_SLOTS)}/${index % PACK_SLOTS}`,
    );
    expect(wrong).toEqual([]);
    const before = reader.reads;
    let found = 0;
    const others = seededBytes('others', IDS * 16);
    for (let index = 0; index < IDS; index++) {
      found += find(reader, others.subarray(index * 16)).length;
    }
    expect(found).toBe(0);
    expect((reader.reads - before) / IDS).toBeLessThan(0.008);
    reader.close();
    expect((await readdir(folder)).length).toBe(2);
  });

  it('merges runs and spills, and leaves out packs that are gone', async () => {
    const first = await written(spilled(0, 6000));
    const reader = new RunReader(memoryOf(folder, first));
    const rest = spilled(6000, IDS);
    const kept = Int32Array.from(packs.keys(), (index) => (index % 3 === 0 ? -1 : index));
    const { recordsPath } = memoryOf(folder, first);
    const old = { path: recordsPath, bucketBits: first.header.bucketBits, offsets: reader.offsets };
    const { name, records } = writeRun(
      folder,
      packs,
      [old, ...rest.spills].map((source) => ({ ...source, packs: kept })),
    );
    const merged = await openRun(folder, name);
    const both = new RunReader(memoryOf(folder, merged ?? first));

    expect(records).toBe((IDS * 2) / 3);
    for (let index = 0; index < IDS; index += 7) {
      const pack = Math.floor(index / PACK_SLOTS);
      expect(find(both, id(index))).toEqual(
        pack % 3 === 0 ? [] : [`${pack}/${index % PACK_SLOTS}`],
      );
    }
    both.close();
    reader.close();
  });

  it('keeps all slots of an id that is there twice, and may be empty', async () => {
    const spiller = new Spiller(folder);
    spiller.add(id(0), 1, 2);
    spiller.add(id(0), 3, 4);
    spiller.flush();
    const reader = new RunReader(memoryOf(folder, await written(spiller)));
    expect(find(reader, id(0))).toEqual(['1/2', '3/4']);
    reader.close();

    const none = new RunReader(memoryOf(folder, await written(new Spiller(folder))));
    expect(find(none, id(0))).toEqual([]);
  });

  it('is thrown away when any byte of its tables is wrong or missing', async () => {
    const next = seededNumbers(5);
    for (let attempt = 0; attempt < 12; attempt++) {
      const { name } = await written(spilled(0, 500));
      const path = join(folder, `${name}.run`);
      await using file = await open(path, 'r+');
      const { size } = await file.stat();
      const at = next(size);
      if (attempt % 5 === 0) {
        await file.truncate(at);
      } else {
        const byte = Buffer.alloc(1);
        await file.read(byte, 0, 1, at);
        await file.write(Buffer.of((byte[0] ?? 0) ^ (1 << next(8))), 0, 1, at);
      }
      expect(await openRun(folder, name)).toBeUndefined();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it('whose records are gone or damaged finds less, and nothing else happens', async () => {
    const run = await written(spilled(0, 5000));
    const memory = memoryOf(folder, run);
    await using file = await open(memory.recordsPath, 'r+');
    await file.write(Buffer.alloc(1000), 0, 1000, 7000);
    await file.truncate(50_001);
    const reader = new RunReader(memory);
    let right = 0;
    for (let index = 0; index < 5000; index++) {
      const found = find(reader, id(index));
      right += found[0] === `${Math.floor(index / PACK_SLOTS)}/${index % PACK_SLOTS}` ? 1 : 0;
    }
    expect(right).toBeGreaterThan(3000);
    expect(right).toBeLessThan(4000);
    reader.close();
    await rm(memory.recordsPath);
    expect(find(new RunReader(memory), id(0))).toEqual([]);
  });
});
