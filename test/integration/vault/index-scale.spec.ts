import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IndexLab } from '../../support/synthetic/index-lab.ts';

/**
 * 19 GiB of unique data, in runs because the table is kept small. `npm run soak -- scale` takes 10
 * TiB.
 */
const PACKS = 300;
const TABLE_ENTRIES = 2 ** 18;

describe('the index of a vault with half a million chunks', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-index-scale-'));
  });

  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it('is built from footers, one request each, and opened again without any', async () => {
    const cold = await IndexLab.open(folder, PACKS, TABLE_ENTRIES);
    await cold.load();
    await cold.close();
    expect(cold.store.gets).toBe(PACKS);

    const warm = await IndexLab.open(folder, PACKS, TABLE_ENTRIES);
    await warm.load();
    expect(warm.store.gets).toBe(0);
    const known = await warm.lookUp('again', 200_000);
    expect(known.hits).toBe(known.lookups);
    expect((await warm.lookUp('new', 200_000)).hits).toBe(0);
    const scattered = await warm.lookUp('random', 500);
    expect(scattered.hits).toBe(scattered.lookups);
    await warm.close();
  });
});
