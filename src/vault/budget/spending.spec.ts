import { faultCode, faultCodeOf } from '../../../test/support/service/fault-code.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  openVault,
  signal,
  fingerprint,
  restored,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import type { Vault } from '../vault.ts';
import { DEFAULT_PRICES, parsePrices, pricesAt } from './prices.ts';
import { Spending } from './spending.ts';

class Bucket extends MemoryObjectStore {
  override readonly location = 's3://bucket/';
}

describe('Spending', () => {
  it('turns requests and bytes into money, by prefix and store', async () => {
    const spending = new Spending();
    const store = spending.meter(new Bucket());
    for (let index = 0; index < 1000; index++) {
      await store.put(`d/${index}`, new Uint8Array(1000), signal);
    }
    await store.get('d/0', signal);
    await Array.fromAsync(store.list('s/', signal));

    const { requests, sentBytes, stores } = spending.report;
    expect({ requests, sentBytes }).toEqual({ requests: 1002, sentBytes: 1_000_000 });
    expect(stores[0]?.byPrefix['d/']).toMatchObject({ puts: 1000, gets: 1, lists: 0 });
    expect(stores[0]?.byPrefix['s/']).toMatchObject({ lists: 1 });
    // 1000 PUT, one GET of 1000 bytes, one LIST.
    const amount = 0.005 + 0.0004 / 1000 + 0.005 / 1000 + 1000 * 0.09e-9;
    expect(stores[0]?.cost?.amount).toBeCloseTo(amount, 12);
    expect(stores[0]?.cost).toMatchObject({ currency: 'USD', asOf: DEFAULT_PRICES.asOf });
  });

  it.each([
    ['requests', { requests: 2 }],
    ['bytes', { bytes: 200 }],
    ['cost', { cost: 0.000011 }],
  ])('stops before the request that would go over the limit of %s', async (_, limits) => {
    const inner = new Bucket();
    const store = new Spending(limits).meter(inner);
    await store.put('d/a', new Uint8Array(100), signal);
    await store.put('d/b', new Uint8Array(100), signal);

    expect(await faultCodeOf(store.put('d/c', new Uint8Array(1), signal))).toBe('budget.reached');
    expect(await inner.get('d/c', signal)).toBeUndefined();
    expect(store.traffic.puts).toBe(2);
  });

  it('counts all stores of a job against one limit', async () => {
    const spending = new Spending({ requests: 2 });
    const [a, b] = [spending.meter(new Bucket()), spending.meter(new Bucket())];
    await a.get('d/a', signal);
    await b.get('d/a', signal);

    expect(await faultCodeOf(a.get('d/b', signal))).toBe('budget.reached');
  });

  it('stops a backup at any request; the next one goes on, and nothing is sent twice', async () => {
    const disk = new MemoryDisk(2_000_000);
    disk.write(0, seededBytes('content', 1_500_000));
    let stopped = true;
    for (let requests = 1; stopped; requests += 3) {
      const store = new MemoryObjectStore();
      await createVault(store);
      const capped = await openVault(new Spending({ requests: requests + 8 }).meter(store));
      const code = await faultCodeOf(backUp(capped, disk));
      stopped = code !== undefined;
      if (stopped) {
        expect(code).toBe('budget.reached');
        const vault = await openVault(store);
        // If the job stopped between the seal and the last look at it, the point is there and
        // whole.
        for (const point of await vault.points(signal)) {
          expect(await isRestored(vault, point, disk)).toBe(true);
        }
        await backUp(vault, disk);
        const sizes = await Array.fromAsync(store.list('d/', signal));
        expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(1_500_000 * 1.03);
      }
    }
  });
});

async function isRestored(vault: Vault, point: { id: string }, disk: MemoryDisk): Promise<boolean> {
  const back = await restored(vault, point, disk.size);
  return (await fingerprint(back.reader())) === (await fingerprint(disk.reader()));
}

describe('a price table', () => {
  it.each([
    ['AWS without an endpoint', undefined, 'Amazon S3'],
    ['AWS with one', 'https://s3.eu-central-1.amazonaws.com', 'Amazon S3'],
    ['an account of R2', 'https://0a1b.r2.cloudflarestorage.com', 'Cloudflare R2'],
    ['Google', 'https://storage.googleapis.com', 'Google'],
    ['a host that ends alike', 'https://notstorage.googleapis.com.example', undefined],
    ['a server of our own', 'http://127.0.0.1:9000', undefined],
  ])('knows %s', (_, endpoint, name) => {
    const place = { location: 's3://b/', ...(endpoint === undefined ? {} : { endpoint }) };
    expect(pricesAt(DEFAULT_PRICES, place)?.name.slice(0, name?.length)).toBe(name);
    expect(pricesAt(DEFAULT_PRICES, { ...place, location: '/srv/vault' })).toBeUndefined();
  });

  it('can be replaced by a file, which is checked', () => {
    expect(parsePrices(JSON.stringify(DEFAULT_PRICES), 'x')).toEqual(DEFAULT_PRICES);
    for (const text of [
      '',
      '[]',
      '{"asOf":"2026-05","stores":[{}]}',
      '{"asOf":"May","stores":[]}',
    ]) {
      expect(faultCode(() => parsePrices(text, 'x'))).toBe('budget.prices-invalid');
    }
  });
});
