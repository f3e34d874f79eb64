/* Runs backups and restores and says how long the main thread was busy at a stretch in each. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Extent } from '../../../src/disk/extent.ts';
import type { ChangeSet } from '../../../src/disk/change-set.ts';
import { createImage, openImage } from '../../../src/formats/image.ts';
import { DirectoryObjectStore } from '../../../src/vault/object-stores/folder/directory.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { MainThreadMeter } from './main-thread.ts';
import { seededBytes } from '../random/seeded-bytes.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 2048 * MIB;
const FIRST: Extent = { offset: 100 * MIB, length: 300 * MIB };
const PIECE_BYTES = 32 * MIB;
const DISK_ID = '11111111-2222-4333-8444-555555555555';
const VM = { vmId: '21111111-2222-4333-8444-555555555555', vmName: 'vm' };

const [folder = ''] = process.argv.slice(2);
const { signal } = new AbortController();
const image = join(folder, 'disk.raw');

/** Half of each MiB is random, half is text, so that compression has work to do. */
async function fill({ offset, length }: Extent, seed: string): Promise<void> {
  await using file = await open(image, 'a').then(async (made) => {
    await made.close();
    return open(image, 'r+');
  });
  await file.truncate(DISK_BYTES);
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const piece = Buffer.from(seededBytes(`${seed}${at}`, Math.min(PIECE_BYTES, length - at)));
    for (let half = 0; half < piece.length; half += MIB) {
      piece.fill('the quick brown fox jumps over the lazy dog ', half, half + MIB / 2);
    }
    await file.write(piece, 0, piece.length, offset + at);
  }
}

async function backUp(vault: Vault, changes: ChangeSet): Promise<string> {
  await using reader = await openImage(image, 'raw', signal);
  await using writer = await vault.beginPoint(VM, signal);
  const sizeBytes = DISK_BYTES;
  await writer.addDisk({ diskId: DISK_ID, name: 'disk', sizeBytes, reader, changes }, { signal });
  const facts = { takenAtMs: 1, consistency: 'crash', notes: [], configuration: {} } as const;
  return (await writer.commit(facts, signal)).id;
}

async function restore(vault: Vault, pointId: string, format: 'raw' | 'qcow2'): Promise<void> {
  const path = join(folder, `copy.${format}`);
  await using writer = await createImage(path, format, DISK_BYTES, signal);
  await vault.restoreDisk({ pointId, diskId: DISK_ID }, writer, { signal });
  await writer.flush(signal);
}

const store = join(folder, 'vault');
await mkdir(store);
await fill(FIRST, 'first');
const { vault } = await Vault.create(
  new DirectoryObjectStore(store),
  {
    name: 'busy',
    passphrase: 'a passphrase that nobody needs',
    parameters: { kdf: { memoryKib: 64, passes: 1, lanes: 1 } },
    cacheFolder: join(folder, 'cache'),
  },
  signal,
);
const meter = new MainThreadMeter();
const busyMs: Record<string, number> = {};
const measured = async <T>(name: string, run: () => Promise<T>): Promise<T> => {
  meter.takeLongestMs();
  const result = await run();
  busyMs[name] = meter.takeLongestMs();
  return result;
};

await measured('full', async () => backUp(vault, { method: 'full', reason: 'requested' }));
const changed = { offset: 200 * MIB, length: 64 * MIB };
await fill(changed, 'second');
const changes: ChangeSet = {
  method: 'changed-extents',
  extents: [{ ...changed, content: 'data' }],
};
const pointId = await measured('incremental', async () => backUp(vault, changes));
await measured('unchanged, read whole', async () =>
  backUp(vault, { method: 'full', reason: 'requested' }),
);
await measured('restore to raw', async () => restore(vault, pointId, 'raw'));
await measured('restore to qcow2', async () => restore(vault, pointId, 'qcow2'));
meter.end();
await vault.close();
process.stdout.write(`${JSON.stringify(busyMs)}\n`);
