import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { glob, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMinio } from '../../../scripts/setup/minio.mjs';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { JobList } from '../../../src/api/contract/jobs.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { assumeRole, policyOf } from '../../support/s3/s3-role.ts';
import { ChangedEnvironment } from '../../support/service/changed-environment.ts';
import { HandClock } from '../../support/schedule/hand-clock.ts';
import { TestService } from '../../support/service/service.ts';

const TIMEOUT_MS = 120_000;
/** What the AWS chain would find by itself. */
const CHAIN = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE'];

let server: Awaited<ReturnType<typeof startMinio>>;
let service: TestService;
let folder: string;
const environment = new ChangedEnvironment();
const engine = new FakeEngine();
const clock = new HandClock(new Date().toISOString());

beforeAll(async () => {
  for (const name of CHAIN) {
    environment.set(name, undefined);
  }
  folder = await mkdtemp(join(tmpdir(), 'hk-credentials-'));
  const none = join(folder, 'none');
  await writeFile(none, '');
  environment.set('AWS_CONFIG_FILE', none);
  environment.set('AWS_SHARED_CREDENTIALS_FILE', none);
  environment.set('AWS_EC2_METADATA_DISABLED', 'true');
  server = await startMinio();
  const client = await connectS3({
    endpoint: server.endpoint,
    credentials: { ...server.credentials },
  });
  await client.send(new CreateBucketCommand({ Bucket: 'mine' }));
  client.destroy();
  service = await TestService.start(engine, { VERIFY_NEW_POINTS: 'on' }, clock);
}, TIMEOUT_MS);

afterAll(async () => {
  await service.remove();
  await server.stop();
  await rm(folder, { recursive: true });
  environment[Symbol.dispose]();
}, TIMEOUT_MS);

/** Lets the verification of the new point begin and end, if it may. */
async function proven(): Promise<unknown[]> {
  await service.verifies();
  const { jobs } = JobList.parse((await service.get('/jobs?kind=prove')).body);
  await service.ended(jobs[0]?.id ?? '');
  await service.verifies();
  return service.rows('verification_run');
}

const roleKeys = async (role: string): ReturnType<typeof assumeRole> =>
  assumeRole(server, await policyOf(role, 'mine', 'v/'));

it(
  'a vault is worked on with the credentials that each role was given, without a restart',
  async () => {
    const secrets = [server.credentials.secretAccessKey];
    const created = await service.post('/vaults', {
      name: 'v',
      location: 's3://mine/v',
      endpoint: server.endpoint,
      passphrase: 'correct horse battery staple',
      credentials: { ...server.credentials },
    });
    expect(created.status).toBe(201);
    const path = join(folder, 'disk.raw');
    await writeFile(path, '');
    await truncate(path, MiB);
    await service.post('/vms', { name: 'web', disks: [{ name: 'd', path, format: 'raw' }] });
    const [vm] = await engine.list(new AbortController().signal);
    engine.write(vm?.id ?? '', 'd', 0, seededBytes('credentials', MiB / 2));
    // Before this nothing is verified, and after it nothing more.
    clock.wrong = 'not yet';
    expect(await service.run('/backups', { vm: 'web' })).toMatchObject({ state: 'succeeded' });
    clock.wrong = undefined;

    await service.post('/vaults/v/credentials', { credentials: await roleKeys('writer') });
    expect(await proven()).toMatchObject([
      { state: 'due', why: expect.stringMatching(/may not/) as string },
    ]);
    expect(await proven()).toMatchObject([{ state: 'due', attempt: 0 }]);
    for (const role of ['writer', 'restorer']) {
      const credentials = await roleKeys(role);
      secrets.push(credentials.secretAccessKey, credentials.sessionToken ?? 'no token');
      const { status } = await service.post('/vaults/v/credentials', { role, credentials });
      expect(status).toBe(200);
    }
    expect(await proven()).toMatchObject([{ state: 'whole', attempt: 1 }]);
    clock.wrong = 'not any more';
    const left = await service.send('DELETE', '/vaults/v/credentials/any');
    expect(left.body).toMatchObject({ credentials: [{ role: 'writer' }, { role: 'restorer' }] });

    expect(await service.run('/backups', { vm: 'web' })).toMatchObject({ state: 'succeeded' });
    const file = join(folder, 'restored.raw');
    const restore = { kind: 'disk', vm: 'web', file };
    expect(await service.run('/restores', restore)).toMatchObject({ state: 'succeeded' });
    // Nobody gave the collector any, and the AWS settings have none.
    const pruned = await service.run('/vaults/v/prune', { dryRun: true });
    expect(pruned).toMatchObject({ state: 'failed', fault: { code: 'store.denied' } });
    // Who restores cannot write: the roles are not mixed up.
    await service.send('DELETE', '/vaults/v/credentials/writer');
    await service.post('/vaults/v/credentials', {
      role: 'writer',
      credentials: await roleKeys('restorer'),
    });
    expect(await service.run('/backups', { vm: 'web' })).toMatchObject({
      state: 'failed',
      fault: { code: 'store.denied' },
    });

    const wrong = { ...server.credentials, secretAccessKey: 'wrong' };
    const refused = await service.post('/vaults/v/credentials', { credentials: wrong });
    expect(refused).toMatchObject({ status: 403, body: { title: 'store.denied' } });
    const listed = await service.get('/vaults/v/credentials');
    expect(listed.body).toMatchObject({ credentials: [{ role: 'writer' }, { role: 'restorer' }] });
    expect((await service.send('DELETE', '/vaults/v/credentials/any')).status).toBe(404);

    await service.restart();
    expect((await service.get('/vaults/v/credentials')).body).toEqual(listed.body);
    const seen = [JSON.stringify([listed, await service.rows('job'), await service.rows('vault')])];
    for await (const name of glob('**', { cwd: service.home })) {
      const found = join(service.home, name);
      if ((await stat(found)).isFile()) {
        seen.push(await readFile(found, 'latin1'));
      }
    }
    expect(seen.length).toBeGreaterThan(3);
    for (const secret of secrets) {
      expect(seen.some((text) => text.includes(secret))).toBe(false);
    }
    await service.send('DELETE', '/vaults/v');
    const gone = await Array.fromAsync(glob('**/credentials-*', { cwd: service.home }));
    expect(gone).toEqual([]);
  },
  TIMEOUT_MS,
);

it('a vault is used with the credentials that came with its key, not with those of an earlier time', async () => {
  const passphrase = 'correct horse battery staple';
  const vault = { name: 'again', location: join(folder, 'again'), passphrase };
  const credentials = { accessKeyId: 'of-yesterday', secretAccessKey: 'secret' };
  await service.post('/vaults', { ...vault, credentials });
  const add = async () => (await service.post('/vaults', { ...vault, existing: true })).status;
  const roles = async () => (await service.get('/vaults/again/credentials')).body;
  expect(await roles()).toMatchObject({ credentials: [{ accessKeyId: 'of-yesterday' }] });

  // As after a crash between the credentials and the row.
  await service.sql(`DELETE FROM vault WHERE name = 'again'`);
  expect(await add()).toBe(201);

  expect(await roles()).toEqual({ credentials: [] });
  expect(await add()).toBe(409);
});

it('a vault for one writing host gives no other one its key', async () => {
  const passphrase = 'correct horse battery staple';
  const vault = { name: 'alone', location: join(folder, 'alone'), passphrase, singleWriter: true };
  const { body } = await service.post('/vaults', vault);
  const { id } = (body as { vault: { id: string } }).vault;
  await rm(join(service.home, 'keys', `vault-${id}`));

  const joined = await service.post('/vaults', { ...vault, existing: true });

  expect(joined).toMatchObject({ status: 422, body: { title: 'vault.store-unfit' } });
});
