import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { SystemClock, type Clock } from '../../../src/kernel/clock.ts';
import { keepLocks } from '../../../src/vault/lock/keeper.ts';
import { FirstVersionStore } from '../../../src/vault/store/first-versions.ts';
import { DAY_MS } from '../../../src/vault/store/lock-times.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { openS3TestServer, type S3TestServer } from '../../support/s3/minio.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../support/vault/vault-lab.ts';

const DAYS = 7;
const AHEAD_MS = 10 * 60_000;

/** A little ahead, so that an extension shows. */
class LaterClock extends SystemClock {
  override nowMs(): number {
    return super.nowMs() + AHEAD_MS;
  }
}

describe('a vault under object lock', () => {
  let server: S3TestServer;

  beforeAll(async () => {
    server = await openS3TestServer();
  });

  afterAll(async () => {
    await server.stop();
  });

  async function openStore(bucket: string): Promise<S3ObjectStore> {
    return new S3ObjectStore(await connectS3(server.options), { bucket, prefix: 'vault/' });
  }

  /** A vault with two points that share nothing. */
  async function setUp(name: string) {
    const bucket = `${server.bucket}-${name}`;
    const client = await connectS3(server.options);
    await client.send(
      new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }),
    );
    client.destroy();
    const store = await openStore(bucket);
    const { vault } = await createVault(store, {
      lock: { mode: 'compliance', days: DAYS },
      probe: { largeBytes: 100_000, lockMs: 4000 },
    });
    const disk = new MemoryDisk(2_000_000);
    disk.write(0, seededBytes(`${name}-1`, 1_000_000));
    const first = await backUp(vault, disk);
    const firstPacks = await keys(store, 'd/');
    disk.write(0, seededBytes(`${name}-2`, 1_000_000));
    const second = await backUp(vault, disk);
    return { store, vault, disk, first, second, firstPacks };
  }

  async function keys(store: S3ObjectStore, prefix: string): Promise<string[]> {
    return (await Array.fromAsync(store.list(prefix, signal))).map(({ key }) => key);
  }

  it('survives whoever may put and delete: first versions restore', async () => {
    const { store, vault, disk, second } = await setUp('first');
    const all = await keys(store, '');
    const locked = all.filter((key) => !/^(?:probe|keep|x)\//.test(key));
    for (const key of locked) {
      const lock = await store.features.lockOf({ key }, signal);
      expect(lock?.mode).toBe('compliance');
      expect(lock?.untilMs).toBeGreaterThan(Date.now() + (DAYS + 44) * DAY_MS);
    }
    for (const version of await Array.fromAsync(store.features.listVersions('', signal))) {
      if (locked.includes(version.key)) {
        await expect(
          store.features.removeVersion(version, { bypass: true }, signal),
        ).rejects.toMatchObject({ name: 'Fault' });
      }
    }
    for (const key of locked) {
      await (key.startsWith('d/') || key.startsWith('fmt/')
        ? store.put(key, Buffer.from('ransom'), signal)
        : store.remove(key, signal));
    }
    await vault.close();
    await expect(openVault(store)).rejects.toMatchObject({ code: 'vault.format-corrupt' });

    const asWritten = await openVault(new FirstVersionStore(store));

    const back = await restored(asWritten, second, disk.size);
    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
    expect(await asWritten.verify(second.id, 3, { signal })).toMatchObject({ ok: true });
    await expect(backUp(asWritten, disk)).rejects.toMatchObject({ code: 'store.refused' });
    await store.close();
  });

  it('is kept locked as far as points need it, and a killed keeper goes on where it was', async () => {
    const { store, vault, first, second, firstPacks } = await setUp('keeper');
    await vault.retire(first.id, signal);
    const clock: Clock = new LaterClock();
    const until = async (): Promise<Map<string, number>> => {
      const times = new Map<string, number>();
      for (const key of await keys(store, '')) {
        // A prefix: a point's versions come with those of its seal.
        const versions = await Array.fromAsync(store.features.listVersions(key, signal));
        const version = versions.findLast((one) => one.key === key);
        const lock = version && (await store.features.lockOf(version, signal));
        times.set(key, lock?.untilMs ?? 0);
      }
      return times;
    };
    const before = await until();
    const parts = { ...vault.inside, clock };
    // Somebody overwrites a pack: its first version is kept.
    const [onlyPack = ''] = (await keys(store, 'd/')).filter((key) => !firstPacks.includes(key));
    await store.put(onlyPack, Buffer.from('ransom'), signal);

    let batches = 0;
    const dies = async (): Promise<void> => {
      batches += 1;
      return batches === 2 ? Promise.reject(new Error('killed')) : Promise.resolve();
    };
    await expect(keepLocks(parts, { batch: 3, onBatch: dies }, { signal })).rejects.toThrow(
      'killed',
    );
    const halfway = await until();
    const isExtended = (times: Map<string, number>, key: string): boolean =>
      (times.get(key) ?? 0) > (before.get(key) ?? 0) + AHEAD_MS / 2;
    expect([...halfway.keys()].filter((key) => isExtended(halfway, key))).toHaveLength(6);

    const report = await keepLocks(parts, {}, { signal });
    const again = await keepLocks(parts, {}, { signal });

    expect(report).toMatchObject({ unsure: false, refused: [], tampered: [onlyPack] });
    expect(report.extended).toBe(report.needed - 6);
    expect(report.requests.locks).toBe(report.extended);
    expect(again.extended).toBe(0);
    const after = await until();
    const kept = [...after.keys()].filter((key) => isExtended(after, key));
    const points = [`s/${second.vmId}/${second.id}`, `s/${second.vmId}/${second.id}.ok`];
    const control = (await keys(store, '')).filter((key) => /^(?:fmt|keys|retire)\//.test(key));
    expect(kept.filter((key) => !key.startsWith('m/')).sort()).toEqual(
      [...points, ...control, onlyPack].sort(),
    );
    expect(firstPacks.some((key) => kept.includes(key))).toBe(false);

    const all = await keepLocks(parts, { everything: true }, { signal });
    expect(all.extended).toBe(report.needed);
    await vault.close();
    await store.close();
  });

  it('keeps everything when a point cannot be read, and only locks where there are any', async () => {
    const { store, vault } = await setUp('unsure');
    const client = await connectS3(server.options);
    const parts = { ...vault.inside, clock: new LaterClock() };
    const plain = new S3ObjectStore(client, { bucket: server.bucket, prefix: 'plain/' });
    const { vault: other } = await createVault(plain);
    await expect(keepLocks(other.inside, {}, { signal })).rejects.toMatchObject({
      code: 'vault.not-locked',
    });

    // A point that no key holder wrote, put there first.
    await store.put('s/vm/01ARZ3NDEKTSV4RRFFQ69G5FAV', Buffer.from('x'), signal);
    const report = await keepLocks(parts, {}, { signal });

    expect(report.unsure).toBe(true);
    expect(report.extended).toBeGreaterThanOrEqual((await keys(store, 'd/')).length);
    await store.close();
  });
});
