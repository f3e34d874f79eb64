import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { SystemClock } from '../../src/kernel/clock.ts';
import { VaultCopy } from '../../src/vault/copy/vault-copy.ts';
import { DirectoryObjectStore } from '../../src/vault/object-stores/folder/directory.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../support/vault/vault-lab.ts';
import type { CopyTask } from './copy-child.ts';

const CHILD = join(import.meta.dirname, 'copy-child.ts');
const SIZE = 2_000_000;
/** Of packs and small objects that are under way at once. */
const IN_FLIGHT_MAX = 18;

describe('a copy whose process is killed', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-copy-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('leaves whole points, and the next run sends the rest', async () => {
    const source = new DirectoryObjectStore(join(folder, 'source'));
    const { vault } = await createVault(source);
    const disk = new MemoryDisk(SIZE);
    disk.write(0, seededBytes('content', 1_500_000));
    const { id } = await backUp(vault, disk);
    const is = await fingerprint(disk.reader());
    const all = (await Array.fromAsync(source.list('', signal))).length;
    for (let put = 0, step = 0; put < all; put += 2, step++) {
      const to = join(folder, `copy-${put}`);
      const when = step % 2 === 0 ? 'before' : 'after';
      const task: CopyTask = { from: source.location, to, put, when };
      const child = spawn(process.execPath, [CHILD, JSON.stringify(task)], { stdio: 'ignore' });
      const [, ended] = (await once(child, 'close')) as [number | null, string | null];
      expect(ended).toBe('SIGKILL');

      const target = new DirectoryObjectStore(to);
      const there = (await Array.fromAsync(target.list('', signal))).length;
      expect(there).toBeGreaterThanOrEqual(put - IN_FLIGHT_MAX);
      const { sent } = await new VaultCopy({ source, target, clock: new SystemClock() }).run({
        signal,
      });
      expect(sent.objects).toBe(all - there);
      const copied = await openVault(target);
      const back = await restored(copied, { id }, SIZE);
      expect(await fingerprint(back.reader())).toBe(is);
      expect((await copied.verify(id, 3, { signal })).problems).toEqual([]);
    }
  });
});
