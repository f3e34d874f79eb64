import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMinio } from '../../../scripts/setup/minio.mjs';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import type { Fault } from '../../../src/kernel/fault.ts';
import { collectVault } from '../../../src/vault/collect/collector.ts';
import { FirstVersionStore } from '../../../src/vault/store/first-versions.ts';
import { keepLocks } from '../../../src/vault/lock/keeper.ts';
import { VaultKeys } from '../../../src/vault/access/vault-keys.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { HeldLease } from '../../../src/vault/records/held-lease.ts';
import { ReadingLeases } from '../../../src/vault/records/reading-leases.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { assumeRole, policyOf } from '../../support/s3/s3-role.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  PASSPHRASE,
  restored,
  signal,
} from '../../support/vault/vault-lab.ts';

const RETENTION = 'only for the one who retires';
const PURPOSE = { purpose: 'a test' };
const byPassphrase = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
const retention = { kind: 'passphrase', passphrase: RETENTION } as const;

describe('the roles of a vault, with the policies of docs/policies', () => {
  let server: Awaited<ReturnType<typeof startMinio>>;
  let cacheFolder: string;
  let root: S3ObjectStore;
  let writer: S3ObjectStore;
  const opened: S3ObjectStore[] = [];

  async function storeOf(role: string | undefined, service?: string): Promise<S3ObjectStore> {
    const { endpoint, credentials } = server;
    const region = 'us-east-1';
    const own =
      role === undefined
        ? credentials
        : await assumeRole(server, await policyOf(role, 'roles', 'vault/', service));
    const client = await connectS3({ endpoint, region, credentials: own });
    const store = new S3ObjectStore(client, { bucket: 'roles', prefix: 'vault/' });
    opened.push(store);
    if (role === undefined) {
      await client.send(
        new CreateBucketCommand({ Bucket: 'roles', ObjectLockEnabledForBucket: true }),
      );
    }
    return store;
  }

  beforeAll(async () => {
    server = await startMinio();
    cacheFolder = await mkdtemp(join(tmpdir(), 'hk-roles-'));
    root = await storeOf(undefined);
    const { vault } = await createVault(root, {
      retentionPassphrase: RETENTION,
      lock: { mode: 'governance', days: 1 },
      probe: { largeBytes: 100_000, lockMs: 4000 },
    });
    await vault.close();
    writer = await storeOf('writer');
  });

  afterAll(async () => {
    await Promise.all(opened.map((store) => store.close()));
    await server.stop();
    await rm(cacheFolder, { recursive: true });
  });

  const disk = new MemoryDisk(4_000_000);
  const denied = { code: 'store.denied' };

  async function packs(): Promise<string[]> {
    return (await Array.fromAsync(root.list('d/', signal))).map(({ key }) => key);
  }

  it('writer: backs up, goes on incrementally and scans whole, without reading data or removing anything', async () => {
    disk.write(0, seededBytes('roles', 3_000_000));
    const vault = await openVault(writer, { cacheFolder });
    const first = await backUp(vault, disk);
    const before = await packs();
    disk.write(1_000_000, seededBytes('changed', 50_000));
    const extents = [{ offset: 1_000_000, length: 50_000, content: 'data' }] as const;
    const second = await backUp(vault, disk, { changes: { method: 'changed-extents', extents } });
    await vault.close();
    // Another process of this machine knows from the cache what it wrote.
    const again = await openVault(writer, { cacheFolder });
    const added = await packs();
    const third = await backUp(again, disk);
    // Pieces of chunks that the change left become chunks of their own.
    expect(third.disks[0]?.statistics.newBytes).toBeLessThan(400_000);
    disk.write(2_000_000, seededBytes('later', 50_000));
    const later = [{ offset: 2_000_000, length: 50_000, content: 'data' }] as const;
    const fourth = await backUp(again, disk, {
      changes: { method: 'changed-extents', extents: later },
    });
    await again.close();
    // A machine whose cache is gone reads the disk whole and stores it once more.
    const lost = await openVault(writer);
    const fifth = await backUp(lost, disk, {
      changes: { method: 'changed-extents', extents: later },
    });
    await lost.close();

    expect(added.length).toBeGreaterThan(before.length);
    expect([first, second, third, fourth, fifth].map(({ disks }) => disks[0]?.method)).toEqual([
      'full',
      'changed-extents',
      'full',
      'changed-extents',
      'full',
    ]);
    expect(fifth.disks[0]?.reason).toBe('parent-unreadable');
    const restorer = await openVault(await storeOf('restorer'));
    for (const point of [fourth, fifth]) {
      const back = await restored(restorer, point, disk.size);
      expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
    }
    await restorer.close();
  });

  it('writer: cannot do harm that versions and locks do not undo', async () => {
    const [pack = ''] = await packs();
    const [point = ''] = (await Array.fromAsync(root.list('s/', signal))).map(({ key }) => key);
    await expect(writer.get(pack, signal)).rejects.toMatchObject(denied);
    for (const key of [pack, point]) {
      await expect(writer.remove(key, signal)).rejects.toMatchObject(denied);
    }
    const forbidden = ['fmt/000009-x', 'keys/000009-x', 'gc/000009-x', 'bad/000009-x'];
    for (const key of [...forbidden, point.replace('s/', 'retire/'), 'hold/vm/x', 'keep/x']) {
      await expect(writer.put(key, Buffer.from('x'), signal)).rejects.toMatchObject(denied);
    }
    const [version] = await Array.fromAsync(root.features.listVersions(pack, signal));
    for (const bypass of [false, true]) {
      await expect(
        writer.features.removeVersion(version ?? { key: pack, versionId: '' }, { bypass }, signal),
      ).rejects.toMatchObject(denied);
    }
    const vault = await openVault(writer);
    const [sealed] = await vault.points(signal);
    await expect(vault.retire(sealed?.id ?? '', signal)).rejects.toMatchObject({
      code: 'vault.retention-key-missing',
    });
    await vault.close();
    // The retention passphrase alone does not help a machine that may not put there.
    const both = await Vault.open(writer, byPassphrase, { workers: 0, retention }, signal);
    await expect(both.retire(sealed?.id ?? '', signal)).rejects.toMatchObject(denied);
    await both.close();
  });

  it('writer: keeps records of its own service, and no other; the collector removes any', async () => {
    const own = await storeOf('writer', 'host-a');
    const vault = await openVault(own, { reader: { service: 'host-a', name: 'a' } });
    const [point] = await vault.points(signal);
    const lease = await HeldLease.take(vault.inside, point ? [point] : [], PURPOSE, signal);
    const collector = await openVault(await storeOf('collector'));

    const seen = await new ReadingLeases(collector.inside).list(signal);
    expect(seen).toMatchObject([{ service: 'host-a', reader: 'a test on a' }]);
    await expect(own.put('cat/host-b/000001-x', Buffer.from('x'), signal)).rejects.toMatchObject(
      denied,
    );
    await expect(own.remove('cat/host-b/000001-x', signal)).rejects.toMatchObject(denied);
    await lease.end();
    expect(await Array.fromAsync(root.list('cat/', signal))).toEqual([]);
    await root.put('cat/host-b/000001-x', Buffer.from('x'), signal);
    await collector.inside.base.store.remove('cat/host-b/000001-x', signal);
    expect(await Array.fromAsync(root.list('cat/', signal))).toEqual([]);
    await vault.close();
    await collector.close();
  });

  it('collector: retires and gives space back, and touches no key', async () => {
    const store = await storeOf('collector');
    const vault = await Vault.open(store, byPassphrase, { workers: 0, retention }, signal);
    const points = await vault.points(signal);
    for (const { id } of points.slice(0, -1)) {
      await vault.retire(id, signal);
    }
    const report = await collectVault(
      vault.inside,
      { youngMs: 0, allPointsAreListed: true },
      { signal },
    );
    await vault.close();

    expect(report.removedPacks).toBeGreaterThan(0);
    expect(report.refusedRemovals).toBe(0);
    expect(report.removedBytes).toBeGreaterThan(report.writtenBytes);
    await expect(store.put('keys/000009-x', Buffer.from('x'), signal)).rejects.toMatchObject(
      denied,
    );
    await expect(store.remove('retire/vm/x', signal)).rejects.toMatchObject(denied);
    const left = await openVault(root);
    const [last] = await left.points(signal);
    expect(await left.verify(last?.id ?? '', 3, { signal })).toMatchObject({ ok: true });
    await left.close();
  });

  it('keeper: extends locks and writes nothing else', async () => {
    const store = await storeOf('keeper');
    const vault = await openVault(store);
    const parts = { ...vault.inside, clock: new SystemClock() };

    const report = await keepLocks(parts, { everything: true }, { signal });

    expect(report).toMatchObject({ unsure: false, refused: [] });
    expect(report.extended).toBeGreaterThan(4);
    await expect(store.put('d/x', Buffer.from('x'), signal)).rejects.toMatchObject(denied);
    await expect(store.remove('s/vm/x', signal)).rejects.toMatchObject(denied);
    await vault.close();
  });

  it('restorer: reads first versions too, and changes nothing', async () => {
    const store = await storeOf('restorer');
    for (const key of await packs()) {
      await root.put(key, Buffer.from('ransom'), signal);
    }
    const vault = await openVault(new FirstVersionStore(store));
    const [point] = await vault.points(signal);
    // It may not say that it reads: it reads all the same.
    const plain = await openVault(store);
    const whys: string[] = [];
    const without = ({ code }: Fault) => whys.push(code);
    const how = { ...PURPOSE, without };
    const lease = await HeldLease.take(plain.inside, point ? [point] : [], how, signal);
    expect([lease.isInForce, whys]).toEqual([false, ['store.denied']]);
    await plain.close();

    const back = await restored(vault, point ?? { id: '' }, disk.size);

    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
    await expect(store.put('d/x', Buffer.from('x'), signal)).rejects.toMatchObject(denied);
    await expect(store.remove('d/x', signal)).rejects.toMatchObject(denied);
    await vault.close();
  });

  it('administrator: changes keys, and cannot touch data or points', async () => {
    const store = await storeOf('administrator');
    const clock = new SystemClock();
    const kdf = { memoryKib: 64, passes: 1, lanes: 1 };
    const keys = await VaultKeys.open(
      store,
      { vault: byPassphrase, retention },
      { clock, kdf },
      signal,
    );
    const second = 'the passphrase of after';
    await keys.rotate(
      [{ passphrase: second, label: '' }],
      async (content) => Promise.resolve(content),
      signal,
    );
    await expect(openVault(store)).rejects.toMatchObject({ code: 'vault.wrong-passphrase' });
    const unlock = { kind: 'passphrase', passphrase: second } as const;
    const vault = await Vault.open(writer, unlock, { workers: 0 }, signal);
    expect(await vault.points(signal)).toHaveLength(1);
    await vault.close();
    for (const key of ['d/x', 's/vm/x']) {
      await expect(store.put(key, Buffer.from('x'), signal)).rejects.toMatchObject(denied);
      await expect(store.remove(key, signal)).rejects.toMatchObject(denied);
    }
  });
});
