import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentExtent } from '../../../disk/extent.ts';
import { ChangeLog, limited } from './change-log.ts';

const record = (generation: number, extents: ContentExtent[] = []) => ({
  generation,
  previousSizeBytes: 2 ** 40,
  sizeBytes: 2 ** 41,
  extents,
});

describe('ChangeLog', () => {
  let folder: string;
  let log: ChangeLog;

  beforeEach(async () => {
    folder = await mkdtemp('/tmp/hk-changes-');
    log = new ChangeLog(join(folder, 'disk'), randomUUID());
  });

  afterEach(async () => rm(folder, { recursive: true, force: true }));

  it('gives back what was written, near and far', async () => {
    const extents: ContentExtent[] = [
      { offset: 0, length: 512, content: 'zero' },
      { offset: 4096, length: 127, content: 'data' },
      { offset: 2 ** 40 + 1, length: 2 ** 39, content: 'zero' },
    ];
    await log.write(record(7, extents));

    expect(await log.read(7)).toEqual(record(7, extents));
    expect(await log.read(8)).toBeUndefined();
  });

  it('takes a record that is cut, flipped or of another history for missing', async () => {
    await log.write(record(1, [{ offset: 512, length: 512, content: 'data' }]));
    const path = join(folder, 'disk', '1.changes');
    const whole = await readFile(path);
    for (let at = 0; at < whole.length; at += 7) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      await writeFile(path, flipped);
      expect(await log.read(1)).toBeUndefined();
      await writeFile(path, whole.subarray(0, at));
      expect(await log.read(1)).toBeUndefined();
    }
    await writeFile(path, whole);
    expect(await new ChangeLog(join(folder, 'disk'), randomUUID()).read(1)).toBeUndefined();
  });

  it('forgets up to what is needed', async () => {
    for (let generation = 1; generation <= 5; generation += 1) {
      await log.write(record(generation));
    }

    await log.prune(3);

    expect(await log.generations()).toEqual([4, 5]);
    await log.clear();
    expect(await log.generations()).toEqual([]);
  });
});

describe('limited', () => {
  it('never covers less than it was given', () => {
    const many = Array.from({ length: 1000 }, (_, index): ContentExtent => ({
      offset: index * 20_000,
      length: 4096 * (1 + (index % 3)),
      content: index % 2 === 0 ? 'data' : 'zero',
    }));

    const few = limited(many, 100);

    expect(few.length).toBeLessThanOrEqual(100);
    for (const { offset, length } of many) {
      const cover = few.find((e) => e.offset <= offset && e.offset + e.length >= offset + length);
      expect(cover?.content).toBe('data');
    }
    expect(limited(many, 1000)).toEqual(many);
  });
});
