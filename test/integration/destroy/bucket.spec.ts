import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { startMinio } from '../../../scripts/setup/minio.mjs';
import type { Job } from '../../../src/api/contract/jobs.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { assumeRole, policyOf } from '../../support/s3/s3-role.ts';
import { createVault } from '../../support/vault/vault-lab.ts';
import { TestService } from '../../support/service/service.ts';

const TIMEOUT_MS = 120_000;
const PASSPHRASE = 'correct horse battery staple';
const DAY_MS = 86_400_000;
const { signal } = new AbortController();

let server: Awaited<ReturnType<typeof startMinio>>;
let service: TestService;
let store: S3ObjectStore;
let plain: S3ObjectStore;

beforeAll(async () => {
  server = await startMinio();
  const { endpoint, credentials } = server;
  const client = await connectS3({ endpoint, credentials: { ...credentials } });
  const bucket = { Bucket: 'locked', ObjectLockEnabledForBucket: true };
  await client.send(new CreateBucketCommand(bucket));
  await client.send(new CreateBucketCommand({ Bucket: 'plain' }));
  plain = new S3ObjectStore(client, { bucket: 'plain', prefix: '' });
  store = new S3ObjectStore(client, { bucket: 'locked', prefix: '' });
  const engine = new FakeEngine();
  service = await TestService.start(engine);
  const disk = { id: randomUUID(), name: 'd', path: '/d.raw', format: 'raw', sizeBytes: MiB };
  const definition = VmDefinition.parse({ id: randomUUID(), name: 'web', disks: [disk] });
  await engine.add(definition, signal);
  engine.write(definition.id, 'd', 0, seededBytes('locked', MiB / 2));
}, TIMEOUT_MS);
afterAll(async () => {
  await service.remove();
  await store.close();
  await server.stop();
}, TIMEOUT_MS);

const vaultBody = (existing = false) => ({
  ...{ name: 'v', location: 's3://locked/v', endpoint: server.endpoint, passphrase: PASSPHRASE },
  ...{ credentials: { ...server.credentials }, existing },
});

/** As the service makes one, with a trial of locks that is short. */
async function createLocked(): Promise<void> {
  const { endpoint, credentials } = server;
  const client = await connectS3({ endpoint, credentials: { ...credentials } });
  const place = new S3ObjectStore(client, { bucket: 'locked', prefix: 'v/' });
  const { vault } = await createVault(place, {
    ...{ name: 'v', passphrase: PASSPHRASE, lock: { mode: 'governance', days: 3 } },
    probe: { largeBytes: 100_000, lockMs: 2000 },
  });
  await vault.close();
  await place.close();
}

async function destroy(body: object): Promise<Job> {
  return service.run('/vaults/v/destroy', body);
}

/** First parts of the keys that a plain listing shows. */
async function classes(of: S3ObjectStore, prefix: string): Promise<string[]> {
  const found = new Set<string>();
  for await (const { key } of of.list(prefix, signal)) {
    found.add(key.split('/')[1] ?? '');
  }
  return [...found].sort();
}

it(
  'a vault under locks is hidden with the rights of a collector, and stays marked',
  async () => {
    await createLocked();
    expect(await service.post('/vaults', vaultBody(true))).toMatchObject({ status: 201 });
    expect(await service.run('/backups', { vm: 'web' })).toMatchObject({ state: 'succeeded' });
    const body = Buffer.from('mine');
    await store.put('v/notes.txt', body, signal);

    const { result } = await destroy({ dryRun: true, limits: {} });
    const plan = result?.kind === 'destroy' ? result.plan : undefined;
    expect(plan).toMatchObject({ points: 1, foreign: { objects: 1, names: ['notes.txt'] } });
    const { locks, versions } = plan?.kept ?? {};
    expect([versions, locks?.locked ?? 0]).toEqual([true, expect.any(Number)]);
    expect(locks?.locked).toBeGreaterThan(3);
    expect(locks?.untilMs).toBeGreaterThan(Date.now() + 2 * DAY_MS);

    const credentials = await assumeRole(server, await policyOf('collector', 'locked', 'v/'));
    await service.post('/vaults/v/credentials', { role: 'collector', credentials });
    const unknown = await destroy({ dryRun: true, limits: {} });
    expect(unknown.result).toMatchObject({ plan: { kept: { isUnknown: true } } });
    const done = await destroy({ dryRun: false, name: 'v', limits: {} });
    expect(done).toMatchObject({
      state: 'succeeded',
      result: { report: { isEmpty: true, denied: { 'fmt/': { objects: 1 } } } },
    });

    expect(await classes(store, 'v/')).toEqual(['cat', 'fmt', 'keys', 'notes.txt', 'probe']);
    expect((await service.get('/vaults')).body).toEqual({ vaults: [] });
    const added = await service.post('/vaults', vaultBody(true));
    expect(added).toMatchObject({ status: 409, body: { title: 'vault.being-destroyed' } });
    const versionsLeft = await versionsOf('v/d/');
    expect(versionsLeft.filter(({ isDeleteMarker }) => !isDeleteMarker).length).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

it(
  'a vault is gone with all rights, but for what is not of it, and another can be made there',
  async () => {
    const place = { ...vaultBody(), name: 'w', location: 's3://plain/w' };
    expect(await service.post('/vaults', place)).toMatchObject({ status: 201 });
    await service.run('/backups', { vm: 'web', vault: 'w' });
    const key = 'x/keys/000001-00000000000000000000000000000000';
    await plain.put(key, Buffer.from('mine'), signal);

    const done = await service.run('/vaults/w/destroy', { dryRun: false, name: 'w', limits: {} });

    expect(done).toMatchObject({ state: 'succeeded', result: { report: { denied: {} } } });
    expect([await classes(plain, 'w/'), await classes(plain, '')]).toEqual([[], ['keys']]);
    expect(await service.post('/vaults', place)).toMatchObject({ status: 201 });
  },
  TIMEOUT_MS,
);

async function versionsOf(prefix: string) {
  const found = [];
  for await (const version of store.features.listVersions(prefix, signal)) {
    found.push(version);
  }
  return found;
}
