import { once } from 'node:events';
import { watch } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import { createDatabase, type TestDatabase } from '../support/service/database.ts';
import { RealService } from '../support/service/real-service.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const TIMEOUT_MS = 300_000;
const { signal } = new AbortController();
const POLICY = `
name: hourly
selector: { all: true }
vault: main
schedule: { every: 1h }
`;

interface Run {
  readonly id: string;
  readonly state: string;
  readonly why: string | null;
  readonly attempt: number;
  readonly point_id: string | null;
}

describe('A service that is killed during the run of a policy', () => {
  let folder: string;
  let database: TestDatabase;
  let service: RealService;

  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../..'));
    folder = await mkdtemp(join(tmpdir(), 'hk-crash-'));
    await chmod(folder, 0o711);
    database = await createDatabase();
    service = await start();
  }, TIMEOUT_MS);
  afterAll(async () => {
    await service.stop();
    await database.drop();
    await rm(folder, { recursive: true });
  });

  async function start(): Promise<RealService> {
    return RealService.start(join(folder, 'home'), signal, { DATABASE_URL: database.url });
  }

  async function runs(): Promise<Run[]> {
    return (await database.run('SELECT * FROM "run" ORDER BY "fire_at_ms"')) as Run[];
  }

  it(
    'takes the point in another attempt, by itself, and one alone',
    async () => {
      const { client } = service;
      const location = join(folder, 'vault');
      await mkdir(location);
      const image = join(folder, 'disk.raw');
      await writeFile(image, seededBytes('disk', 64 * MIB));
      const vault = { name: 'main', location, passphrase: 'a b c d e f g h' };
      await client.call('createVault', { body: vault }, signal);
      const disks = [{ name: 'system', path: image, format: 'raw' as const }];
      await client.call('addVm', { body: { name: 'web', disks } }, signal);
      await client.call('applyPolicies', { body: { text: POLICY } }, signal);
      const packs = watch(location, { recursive: true });
      const written = once(packs, 'change');

      // As if the service had been away for two fire times.
      const away = String(2 * HOUR_MS);
      await database.run(`UPDATE "policy" SET "horizon_ms" = "horizon_ms" - ${away}`);
      await written;
      await service.kill();
      packs.close();
      const killed = await runs();
      service = await start();
      for (let sinceMs = 0; !(await runs()).some(({ state }) => state === 'sealed');) {
        await service.logs('run.changed', sinceMs, signal);
        sinceMs = performance.now();
      }

      const [missed, sealed] = await runs();
      expect(killed.map(({ attempt }) => attempt)).toEqual([0, 1]);
      expect(missed).toMatchObject({ state: 'skipped', why: 'missed', attempt: 0 });
      expect(sealed).toMatchObject({ state: 'sealed', attempt: 2 });
      const { points } = await service.client.call('listPoints', {}, signal);
      expect(points).toMatchObject([
        { id: sealed?.point_id, origin: { kind: 'policy', run: sealed?.id, attempt: 2 } },
      ]);
    },
    TIMEOUT_MS,
  );
});
