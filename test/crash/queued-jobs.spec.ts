import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import { constantRate } from '../../src/kernel/rates/rate-limits.ts';
import { addRawVm } from '../support/service/raw-vm.ts';
import { RealService } from '../support/service/real-service.ts';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 300_000;
const VMS = ['web', 'db', 'mail'];
const { signal } = new AbortController();

describe('A service that is killed while jobs wait', () => {
  let folder: string;
  let service: RealService;

  const start = async (): Promise<RealService> =>
    RealService.start(join(folder, 'home'), signal, { JOBS_CONCURRENCY: '1' });

  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../..'));
    folder = await mkdtemp(join(tmpdir(), 'hk-crash-'));
    await chmod(folder, 0o711);
    service = await start();
  }, TIMEOUT_MS);
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true });
  });

  it(
    'goes on with them by itself, and says of the one that ran that it was interrupted',
    async () => {
      const vault = { name: 'main', location: join(folder, 'vault'), passphrase: 'a b c d e f g' };
      await service.client.call('createVault', { body: vault }, signal);
      for (const name of VMS) {
        await addRawVm(service.client, { folder, name, bytes: 8 * MIB }, signal);
      }
      // The first takes longer than everything else here, unless it is killed.
      const backUp = async (vm: string, bytesPerSecond: number) =>
        service.client.call(
          'startBackup',
          { body: { vm, rateLimits: constantRate(bytesPerSecond) } },
          signal,
        );
      const first = await backUp('web', 10_000);
      const waiting = [await backUp('db', 100 * MIB), await backUp('mail', 100 * MIB)];
      for await (const { state } of service.client.jobEvents(first.id, signal)) {
        if (state === 'running') {
          break;
        }
      }

      await service.kill();
      service = await start();

      const [killed, ...ended] = await Promise.all(
        [first, ...waiting].map(async (job) => service.ended(job, signal)),
      );
      expect(killed).toMatchObject({ state: 'interrupted', fault: { code: 'job.interrupted' } });
      expect(ended.map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);
    },
    TIMEOUT_MS,
  );
});
