import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestAgent } from '../../../src/engines/qemu/guest/guest-agent.ts';
import { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { QmpClient } from '../../../src/engines/qemu/qmp/qmp-client.ts';
import { SmallDisk } from '../../support/guest/small-disk.ts';
import { checkJournal, makeGuestVm, SerialLog } from '../../support/guest/guest.ts';

const MiB = 1024 * 1024;
const { signal } = new AbortController();

describe('QemuEngine on a host disk that fills up', () => {
  it('shows the VM standing still, and lets it go on when there is room', async () => {
    if (process.getuid?.() !== 0) {
      console.log('not run: only root can mount a small disk to fill');
      return;
    }
    const folder = await mkdtemp('/tmp/hk-full-');
    const small = await SmallDisk.mount(join(folder, 'small'), 64);
    const engine = new QemuEngine({
      stateFolder: join(folder, 'state'),
      runFolder: join(folder, 'run'),
      limits: { resumeFreeBytes: 16 * MiB, resumeLookMs: 50, freeBytesMin: 4 * MiB },
    });
    try {
      const made = await makeGuestVm(folder, {
        writerPauseMs: 50,
        dataBytes: 128 * MiB,
        format: 'raw',
      });
      const disks = made.disks.map((disk) => {
        if (disk.name !== 'data') {
          return disk;
        }
        const path = join(small.path, 'data.raw');
        execFileSync('cp', ['--sparse=always', disk.path, path]);
        return { ...disk, path };
      });
      const definition = { ...made, disks };
      await engine.add(definition, signal);
      await engine.start(definition.id, signal);
      const paths = engine.paths(definition.id);
      const serial = new SerialLog(paths.serialLog);
      await serial.waitForReady();
      // The overlay is what fills the disk, as it does in life.
      const first = await engine.freeze(definition.id, { jobToken: 'first' }, signal);
      await first[Symbol.asyncDispose]();
      await small.fill(2 * MiB);

      await using qmp = await QmpClient.connect(paths.secondMonitor, signal);
      const stopped = new Promise<void>((resolve) => {
        qmp.onEvent(({ event }) => {
          if (event === 'STOP') {
            resolve();
          }
        });
      });
      const filling = (async () => {
        await using agent = await GuestAgent.connect(paths.agent, 5000, signal);
        return await agent.run(
          '/bin/busybox',
          ['dd', 'if=/dev/urandom', 'of=/data/large', 'bs=64k', 'count=160', 'conv=fsync'],
          60_000,
          signal,
        );
      })();
      await stopped;
      const full = await engine.get(definition.id, signal);
      expect(full.status).toBe('io-error');
      expect(full.warnings.join()).toContain('host disk full');

      await small.empty();

      expect(await filling).toMatchObject({ exitCode: 0 });
      expect(await engine.get(definition.id, signal)).toMatchObject({
        status: 'running',
        warnings: [],
      });
      const { lines } = await serial.lastJournalLine();
      await serial.waitForJournal(lines + 2);
      await engine.stop(definition.id, { force: false }, signal);
      await engine.release(definition.id, signal);
      copyFileSync(join(small.path, 'data.raw'), join(folder, 'check.raw'));
      expect((await checkJournal(join(folder, 'check.raw'))).problems).toEqual([]);
    } finally {
      for (const { id } of await engine.list(signal)) {
        await engine.destroy(id, signal);
      }
      await engine.close();
      small.unmount();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
