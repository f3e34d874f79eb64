import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import type { Job } from '../../src/api/contract/jobs.ts';
import type { Point } from '../../src/api/contract/points.ts';
import { faultCodeOf } from '../support/service/fault-code.ts';
import { addRawVm } from '../support/service/raw-vm.ts';
import { RealService } from '../support/service/real-service.ts';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 300_000;
/** Enough to be killed among them. */
const OBJECTS = 3000;
const { signal } = new AbortController();

describe('A service that is killed', () => {
  let folder: string;
  let service: RealService;

  const start = async (): Promise<RealService> =>
    RealService.start(join(folder, 'home'), signal, { VERIFY_NEW_POINTS: 'on' });

  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../..'));
    folder = await mkdtemp(join(tmpdir(), 'hk-crash-'));
    await chmod(folder, 0o711);
    service = await start();
    const vault = { name: 'main', location: join(folder, 'vault'), passphrase: 'a b c d e f g' };
    await service.client.call('createVault', { body: vault }, signal);
    await addRawVm(service.client, { folder, name: 'web', bytes: 32 * MIB }, signal);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true });
  });

  const jobs = async (kind: Job['kind']): Promise<Job[]> =>
    (await service.client.call('listJobs', { query: { kind } }, signal)).jobs;

  const onlyPoint = async (): Promise<Point | undefined> =>
    (await service.client.call('listPoints', {}, signal)).points[0];

  const left = async (): Promise<number> => {
    const path = join(folder, 'vault');
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).length;
  };

  it(
    'while it verifies a new point verifies it after the start',
    async () => {
      await service.client.call('startBackup', { body: { vm: 'web' } }, signal);
      while ((await jobs('prove')).length === 0) {
        // The backup has not sealed its point yet.
      }
      await service.kill();
      const sinceMs = performance.now();
      service = await start();

      if ((await onlyPoint())?.check === undefined) {
        await service.logs('verification.changed', sinceMs, signal);
      }

      expect(await onlyPoint()).toMatchObject({ check: { level: 1, addedLevel: 2 } });
    },
    TIMEOUT_MS,
  );

  it(
    'while it destroys a vault opens it no more, and ends it when it is asked again',
    async () => {
      await mkdir(join(folder, 'vault/x'), { mode: 0o700 });
      for (let each = 0; each < OBJECTS; each += 1) {
        await writeFile(join(folder, `vault/x/${String(each)}`), 'x');
      }
      const before = await left();
      const body = { dryRun: false, name: 'main', evenIfUsed: true, limits: {} };
      const destroy = async () =>
        service.client.call('destroyVault', { path: { vault: 'main' }, body }, signal);
      await destroy();
      while ((await left()) > before - OBJECTS / 10) {
        // It has just begun.
      }
      await service.kill();
      service = await start();

      const killed = await left();
      expect(killed).toBeLessThan(before);
      expect(killed).toBeGreaterThan(0);
      const { vaults } = await service.client.call('listVaults', {}, signal);
      expect(vaults[0]?.problem).toContain('vault destroy main');
      const backup = await service.client.call('startBackup', { body: { vm: 'web' } }, signal);
      expect(await service.ended(backup, signal)).toMatchObject({
        fault: { code: 'vault.being-destroyed' },
      });

      expect(await service.ended(await destroy(), signal)).toMatchObject({ state: 'succeeded' });
      expect(await left()).toBe(0);
      const path = { vault: 'main' };
      expect(await faultCodeOf(service.client.call('getVault', { path }, signal))).toBe(
        'vault.unknown',
      );
    },
    TIMEOUT_MS,
  );
});
