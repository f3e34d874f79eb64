import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Job } from '../../../src/api/contract/jobs.ts';
import { VaultList } from '../../../src/api/contract/vaults.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { openS3TestServer, type S3TestServer } from '../../support/s3/minio.ts';
import { ChangedEnvironment } from '../../support/service/changed-environment.ts';
import { TestService } from '../../support/service/service.ts';
import { TcpProxy } from '../../support/s3/tcp-proxy.ts';

const TIMEOUT_MS = 120_000;

let server: S3TestServer;
let proxy: TcpProxy;
let service: TestService;
let folder: string;
const environment = new ChangedEnvironment();

beforeAll(async () => {
  server = await openS3TestServer();
  const { credentials, endpoint } = server.options;
  if (credentials !== undefined) {
    environment.set('AWS_ACCESS_KEY_ID', credentials.accessKeyId);
    environment.set('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey);
  }
  proxy = await TcpProxy.toEndpoint(endpoint);
  service = await TestService.start(new FakeEngine());
  folder = await mkdtemp(join(tmpdir(), 'hk-away-'));
}, TIMEOUT_MS);

afterAll(async () => {
  await service.remove();
  await proxy.cut();
  await server.stop();
  await rm(folder, { recursive: true });
  environment[Symbol.dispose]();
}, TIMEOUT_MS);

async function problem(): Promise<string | undefined> {
  const { vaults } = VaultList.parse((await service.get('/vaults')).body);
  return vaults[0]?.problem;
}

it(
  'shows with the job and with the vault that a store is away, and goes on when it is back',
  async () => {
    const created = await service.post('/vaults', {
      name: 'v',
      location: `s3://${server.bucket}/v`,
      endpoint: proxy.endpoint,
      passphrase: 'correct horse battery staple',
    });
    expect(created.status).toBe(201);
    const path = join(folder, 'disk.raw');
    await writeFile(path, '');
    await truncate(path, MiB);
    await service.post('/vms', { name: 'web', disks: [{ name: 'd', path, format: 'raw' }] });

    await proxy.cut();
    const { id } = Job.parse((await service.post('/backups', { vm: 'web' })).body);
    let last: Job | undefined;
    let trouble: string | undefined;
    for await (const job of service.events(id)) {
      last = job;
      if (trouble === undefined && job.progress?.trouble !== undefined) {
        ({ trouble } = job.progress);
        expect(await problem()).toBe(trouble);
        await proxy.mend();
      }
    }

    expect(trouble).toMatch(/the store does not answer since .*trying again/);
    expect(last).toMatchObject({ state: 'succeeded' });
    expect(last?.progress).not.toHaveProperty('trouble');
    expect(await problem()).toBeUndefined();
  },
  TIMEOUT_MS,
);
