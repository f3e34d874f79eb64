import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Job, JobList } from '../../../src/api/contract/jobs.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { cliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const DATA_BYTES = 3 * MiB;
const RATE = MiB;
/** Nothing may be faster: a second's worth is free at most. */
const DURATION_MS_MIN = ((DATA_BYTES - RATE) / RATE) * 1000;

let engine: FakeEngine;
let service: TestService;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-rates-'));
  engine = new FakeEngine();
  service = await TestService.start(engine);
  const path = join(folder, 'web.raw');
  await writeFile(path, '');
  await truncate(path, 8 * MiB);
  const disks = [{ name: 'system', path, format: 'raw' }];
  const { body } = await service.post('/vms', { name: 'web', disks, nics: [] });
  // It cannot be compressed, so the vault has to give as much as the disk.
  const bytes = seededBytes('rates', DATA_BYTES);
  engine.write((body as { id: string }).id, 'system', 2 * MiB, bytes);
  await cli('vault', 'create', 'v', '--location', 'v');
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

async function cli(...parameters: string[]): Promise<void> {
  const { home: homeFolder } = service;
  const { exitCode, stderr } = await cliRun(parameters, {
    folder,
    passphrase: 'correct horse battery staple',
    environment: { readSettings: () => ({ homeFolder }) },
  });
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
}

/** How long the newest job took, by its own monotonic clock. */
async function durationMs(): Promise<number> {
  const { jobs } = JobList.parse((await service.get('/jobs?limit=1')).body);
  const result = jobs[0]?.result;
  return result !== undefined && 'durationMs' in result ? result.durationMs : 0;
}

describe('--limit-rate', () => {
  it('holds for what a backup, a restore and a copy read', async () => {
    await cli('backup', 'web', '--limit-rate', '1M');
    expect(await durationMs()).toBeGreaterThanOrEqual(DURATION_MS_MIN);

    const back = ['--disk', 'system', '--to', join(folder, 'back.raw')];
    await cli('restore', 'latest', '--vm', 'web', ...back, '--limit-rate', '1M');
    expect(await durationMs()).toBeGreaterThanOrEqual(DURATION_MS_MIN);

    await cli('vault', 'copy', 'v', join(folder, 'copy'), '--limit-rate', '1M');
    expect(await durationMs()).toBeGreaterThanOrEqual(DURATION_MS_MIN);
  });

  it('ends with its job, although it waits for a day', async () => {
    const windows = [{ from: '00:00', to: '00:00', bytesPerSecond: 10 }];
    const body = { vm: 'web', full: true, rateLimits: { windows } };
    const { id } = Job.parse((await service.post('/backups', body)).body);
    while (engine.frozen === 0) {
      await setImmediate();
    }
    expect(await service.post(`/jobs/${id}/cancel`)).toMatchObject({
      body: { state: 'cancelled' },
    });
    expect(engine.frozen).toBe(0);
  });
});
