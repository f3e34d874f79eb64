import { mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { Log, type LogFields } from '../../../src/kernel/log.ts';
import { MemoryObjectStore } from '../../support/vault/memory-object-store.ts';
import { ledgerOf, scrubVault } from '../../../src/vault/checks/scrub-vault.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../support/vault/vault-lab.ts';

const SIZE = 3_000_000;
const ALL = { bytes: Infinity };

class WarningLog extends Log {
  readonly warnings: string[] = [];

  override warn(event: string, fields: LogFields = {}): void {
    this.warnings.push(`${event} ${String(fields['why'])}`);
  }

  override error(event: string): void {
    this.warnings.push(event);
  }

  override info(): void {
    // Not what is asked.
  }

  override debug(): void {
    // Not what is asked.
  }
}

describe('a cache that cannot be used', () => {
  let folder: string;
  let cacheFolder: string;
  let store: MemoryObjectStore;
  let log: WarningLog;
  const open: Vault[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-optional-'));
    cacheFolder = join(folder, 'cache');
    store = new MemoryObjectStore();
    log = new WarningLog();
    await (await createVault(store)).vault.close();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map(async (vault) => vault.close()));
    await rm(folder, { recursive: true });
  });

  const opened = async (indexEntries?: number): Promise<Vault> => {
    const vault = await openVault(store, {
      cacheFolder,
      log,
      ...(indexEntries === undefined ? {} : { indexEntries, workers: 1 }),
    });
    open.push(vault);
    return vault;
  };

  /** A file where a folder was: refused to root too. */
  const spoil = async (part: string): Promise<void> => {
    const [place = ''] = await readdir(cacheFolder);
    const path = join(cacheFolder, place, part);
    await rename(path, `${path}-away`).catch(() => undefined);
    await writeFile(path, '');
  };

  const disk = (): MemoryDisk => MemoryDisk.of(seededBytes('five', SIZE));

  const dataBytes = async (): Promise<number> => {
    let total = 0;
    for await (const { size } of store.list('d/', signal)) {
      total += size;
    }
    return total;
  };

  it('never was there: everything works, and one warning says why', async () => {
    await writeFile(cacheFolder, 'a file');
    const vault = await opened();
    const point = await backUp(vault, disk());
    const before = await dataBytes();
    await backUp(vault, disk());

    expect(await dataBytes()).toBe(before);
    const copy = await restored(vault, point, SIZE);
    expect(await fingerprint(copy.reader())).toBe(await fingerprint(disk().reader()));
    const ledger = ledgerOf(vault.inside);
    const { report } = await scrubVault(vault.inside, { ledger, budget: ALL }, { signal });
    expect(report).toMatchObject({ damaged: [] });
    expect((await ledger.load()).size).toBeGreaterThan(0);
    expect(await vault.points(signal)).toHaveLength(2);
    expect(log.warnings).toEqual([expect.stringContaining('vault.cache-not-used')]);
    expect(log.warnings[0]).toContain(cacheFolder);
  });

  it.each(['footers', 'lists', 'points', 'proofs', 'runs'])(
    'loses %s between two runs: the second works and stores nothing twice',
    async (part) => {
      const first = await opened();
      await backUp(first, disk());
      await first.close();
      open.length = 0;
      const before = await dataBytes();
      await spoil(part);

      const vault = await opened();
      const point = await backUp(vault, disk());
      const ledger = ledgerOf(vault.inside);
      await scrubVault(vault.inside, { ledger, budget: ALL }, { signal });
      expect((await ledger.load()).size).toBeGreaterThan(0);

      expect(await dataBytes()).toBe(before);
      const copy = await restored(vault, point, SIZE);
      expect(await fingerprint(copy.reader())).toBe(await fingerprint(disk().reader()));
      expect(log.warnings.length).toBeLessThanOrEqual(1);
    },
  );

  it('takes no file of a large index: it stays in memory', async () => {
    const first = await opened(2 ** 8);
    await backUp(first, disk());
    await first.close();
    open.length = 0;
    const before = await dataBytes();
    const [place = ''] = await readdir(cacheFolder);
    await rm(join(cacheFolder, place, 'runs'), { recursive: true });
    // A folder that can be listed and in which nothing can be made.
    await symlink('/proc/self', join(cacheFolder, place, 'runs'));

    await backUp(await opened(2 ** 8), disk());

    expect(await dataBytes()).toBe(before);
    expect(log.warnings).toEqual([expect.stringContaining('vault.cache-not-used')]);
  });
});
