import { mkdtemp, open, rmdir, stat, statfs, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { Fault, systemCode } from '../../../src/kernel/fault.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { VaultSpace } from '../../../src/upkeep/vault-space.ts';
import { DirectoryObjectStore } from '../../../src/vault/object-stores/folder/directory.ts';
import { RetryingObjectStore } from '../../../src/vault/object-stores/retrying.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { RetentionLab } from '../../support/retention/retention-lab.ts';
import { faultCodeOf } from '../../support/service/fault-code.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';
import { signal } from '../../support/vault/vault-lab.ts';

const KIB = 1024;
const DISK_BYTES = 512 * KIB;
/** What the advice for a full store asks for. */
const ROOM_BYTES = 64 * KIB;

let source: DataSource;
withCatalog((opened) => {
  source = opened;
});

async function freeBytes(place: string): Promise<number> {
  const { bavail, bsize } = await statfs(place);
  return bavail * bsize;
}

/** Writes until not one byte more is taken. */
async function fillUp(path: string): Promise<void> {
  await using file = await open(path, 'w');
  for (let bytes = 64 * KIB; bytes > 0;) {
    try {
      await file.write(Buffer.alloc(bytes, 1));
    } catch (error) {
      expect(systemCode(error)).toBe('ENOSPC');
      bytes = Math.floor(bytes / 2);
    }
  }
}

describe('a store without room', () => {
  it('is said in bytes, and freed by retention and a prune once 64 KiB are', async () => {
    const place = await mkdtemp(join(tmpdir(), 'hk-full-'));
    await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'hk-test', place], signal);
    try {
      const store = new RetryingObjectStore(new DirectoryObjectStore(join(place, 'vault')));
      await store.makePlace(signal);
      const lab = await RetentionLab.create(source, {}, { store });
      await lab.policy('p', { retention: { daily: 3 } });
      await lab.decide();
      let age = 30;
      lab.nextDisk = () => MemoryDisk.of(seededBytes(`full ${String(age)}`, DISK_BYTES));
      const ids: string[] = [];
      let full: unknown;
      for (; full === undefined; age -= 1) {
        try {
          ids.push(await lab.take(age));
        } catch (error) {
          full = error;
        }
      }
      expect(full).toBeInstanceOf(Fault);
      expect((full as Fault).code).toBe('store.full');
      const { bytes } = (full as Fault).context;
      expect(bytes).toBeGreaterThan(0);
      expect((full as Fault).message).toContain(`(${String(bytes)} bytes)`);
      expect(ids.length).toBeGreaterThan(4);

      const ballast = join(place, 'ballast');
      await fillUp(ballast);
      expect(await freeBytes(place)).toBe(0);
      await lab.sync();
      expect(await faultCodeOf(lab.decide())).toBe('store.full');
      expect(await lab.left()).toHaveLength(ids.length);

      await truncate(ballast, (await stat(ballast)).size - ROOM_BYTES);
      const { retired } = await lab.decide();
      expect(retired.toSorted()).toEqual(ids.slice(0, -3).sort());
      const before = await freeBytes(place);
      const space = new VaultSpace(lab.vaults, lab.points);
      const rules = { youngMs: 0, allPointsAreListed: true };
      const request = { vaultId: lab.vault.id, limits: {}, dryRun: false, rules };
      await space.prune(request, { signal, report: () => undefined });

      expect((await freeBytes(place)) - before).toBeGreaterThan(retired.length * DISK_BYTES * 0.9);
      for (const id of ids.slice(-3)) {
        expect(await lab.vault.verify(id, 3, { signal })).toMatchObject({ ok: true });
      }
      await lab.take(0);
      await lab.close();
    } finally {
      await runCommand('umount', [place], signal);
      await rmdir(place);
    }
  });
});
