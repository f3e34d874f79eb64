import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { openObjectStore } from '../../../src/vault/object-stores/location.ts';
import type { VerifyReport } from '../../../src/vault/checks/verify-report.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { backUp, createVault, signal } from '../../support/vault/vault-lab.ts';

describe('a machine on which the BLAKE3 add-on does not load', () => {
  it('proves everything up to level 2, says that it stopped there, and restores', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hk-no-addon-'));
    try {
      const store = await openObjectStore(folder, {}, signal);
      const { vault } = await createVault(store);
      const disk = new MemoryDisk(300_000);
      disk.write(0, seededBytes('no add-on', 300_000));
      const point = await backUp(vault, disk);
      await vault.close();
      const program = fileURLToPath(
        new URL('../../support/vault/verify-vault.main.ts', import.meta.url),
      );

      const { stdout } = await promisify(execFile)(process.execPath, [
        '--no-addons',
        program,
        folder,
        point.id,
      ]);

      const { report, restoredBytes, idsChecked } = JSON.parse(stdout) as {
        report: VerifyReport;
        restoredBytes: number;
        idsChecked: boolean;
      };
      expect(report).toMatchObject({
        ok: true,
        level: 2,
        stoppedBy: 'vault.chunk-id-unavailable',
      });
      expect(report.frames).toBeGreaterThan(0);
      expect(restoredBytes).toBe(300_000);
      expect(idsChecked).toBe(false);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
