import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { HostRow } from '../../../src/catalog/rows/host.row.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { PublishedDecisions } from '../../../src/policies/retention/deciding/published-decisions.ts';
import { openObjectStore } from '../../../src/vault/object-stores/location.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { RealService } from '../../support/service/real-service.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';
import { createVault, PASSPHRASE, signal } from '../../support/vault/vault-lab.ts';
import { document, HOST, seal, VM } from '../collector/attack-lab.ts';

const PROGRAM = join(import.meta.dirname, '../../../bin/hyperkeep.mjs');
const RETENTION = 'only for the collector';

/** The folder of a vault with a separate retention key, on both machines. */
async function vaultIn(folder: string): Promise<Vault> {
  const store = await openObjectStore(folder, {}, signal);
  const { vault } = await createVault(store, { retentionPassphrase: RETENTION });
  return vault;
}

/** What the service of a host has decided. */
async function decide(vault: Vault, ids: readonly string[]): Promise<void> {
  const published = new PublishedDecisions(HOST, new SilentLog());
  const because = [{ policy: 'gold', rule: 'beyond', period: '' }] as const;
  const facts = { vmId: VM, vmName: 'shop', takenAtMs: 1, because };
  const waiting = ids.map((pointId) => ({ ...facts, pointId }));
  await published.publish(vault, waiting, 1, signal);
}

async function recordsIn({ inside }: Vault): Promise<number> {
  return (await Array.fromAsync(inside.base.store.list('cat/', signal))).length;
}

describe('serve --role collector', () => {
  let folder: string;
  let vault: Vault;
  let database: TestDatabase;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-collector-'));
    vault = await vaultIn(join(folder, 'vault'));
    database = await createDatabase();
  });

  afterEach(async () => {
    await vault.close();
    await database.drop();
    await rm(folder, { recursive: true });
  });

  it('has no VMs, and gives up what others decided as far as its floors allow', async () => {
    const points = [1, 2, 3].map((takenAtMs) => document({ takenAtMs }));
    for (const point of points) {
      await seal(vault, point);
    }
    const ids = points.map(({ id }) => id);
    await decide(vault, ids);
    const settings = {
      DATABASE_URL: database.url,
      HYPERKEEP_RETENTION_PASSPHRASE: RETENTION,
      COLLECTOR_KEEP_POINTS: '1',
      COLLECTOR_KEEP_YOUNGER: '1ms',
      COLLECTOR_DAILY_SHARE: '100',
      COLLECTOR_LOOK_EVERY: '200ms',
    };
    const program = [PROGRAM, 'serve', '--role', 'collector'];
    const collector = await RealService.start(join(folder, 'home'), signal, settings, program);
    try {
      const { client } = collector;
      const place = { name: 'main', location: join(folder, 'vault'), singleWriter: false };
      const body = { ...place, existing: true, passphrase: PASSPHRASE };
      const { vault: added } = await client.call('createVault', { body }, signal);
      let status = await client.call('collector', {}, signal);
      const givenUp = new Set<string>();
      while (givenUp.size < 2) {
        await collector.logs('collector.looked', performance.now(), signal);
        status = await client.call('collector', {}, signal);
        for (const { pointId } of status.looks.flatMap((look) => look.givenUp)) {
          givenUp.add(pointId);
        }
        // A look between two questions is seen by what it left.
        for (const { pointId } of (
          await client.call('listRetired', { path: { vault: added.id } }, signal)
        ).points) {
          givenUp.add(pointId);
        }
      }

      expect([...givenUp].sort()).toEqual(ids.slice(1).sort());
      expect(status.floors).toEqual({ points: 1, youngMs: 1, dailyShare: 1 });
      const service = await client.call('service', {}, signal);
      expect(service.engine).toBe('none');
      const { givenUpFromHere } = await client.call('protection', {}, signal);
      expect(givenUpFromHere).toEqual([]);
    } finally {
      await collector.stop();
    }
  });

  it('does not start on a database that a host with VMs uses', async () => {
    const source = await openCatalog({ url: database.url });
    const facts = { name: 'other', address: null, version: '1', lastSeenMs: 1 };
    await source.getRepository(HostRow).insert({ id: HOST, ...facts });
    await source.destroy();
    const settings = { DATABASE_URL: database.url };
    const program = [PROGRAM, 'serve', '--role', 'collector'];

    await expect(
      RealService.start(join(folder, 'home'), signal, settings, program),
    ).rejects.toThrow('collector.database-shared');
  });

  it('finds only the newest decisions of a service, which replace what it decided before', async () => {
    await decide(vault, []);
    expect(await recordsIn(vault)).toBe(0);
    for (let day = 0; day < 4; day++) {
      await decide(vault, [document({ takenAtMs: day }).id]);
    }
    const before = await recordsIn(vault);
    await decide(vault, []);
    await decide(vault, []);

    expect([before, await recordsIn(vault)]).toEqual([2, 2]);
  });
});

describe('status', () => {
  it('names the vaults that whoever takes the host can empty', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hk-collector-'));
    const database = await createDatabase();
    const settings = { DATABASE_URL: database.url };
    const service = await RealService.start(join(folder, 'home'), signal, settings);
    try {
      const { client } = service;
      for (const [name, more] of [
        ['alone', {}],
        ['apart', { retentionPassphrase: RETENTION }],
      ] as const) {
        const location = join(folder, name);
        await client.call('createVault', { body: { name, location, ...more } }, signal);
      }

      expect((await client.call('protection', {}, signal)).givenUpFromHere).toEqual(['alone']);
    } finally {
      await service.stop();
      await database.drop();
      await rm(folder, { recursive: true });
    }
  });
});
