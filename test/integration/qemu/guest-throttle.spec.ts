import { setTimeout as sleep } from 'node:timers/promises';
import { BackupService } from '../../../src/backup/backup.service.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { constantRate } from '../../../src/kernel/rates/rate-limits.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';
import { heldVault } from '../../support/vault/held-vault.ts';
import { createVault } from '../../support/vault/vault-lab.ts';

const { signal } = new AbortController();
const DISK_BYTES = 96 * MiB;
/** Slow enough that the throttle looks several times while the disk is read. */
const RATE = 8 * MiB;
/** How often the guest writes, while its disk takes two writes in a second. */
const WRITE_EVERY_MS = 50;

/** Writes until `ended` fires. Each write takes longer, because the disk cannot keep up. */
async function writeSlowly(lab: QemuLab, ended: AbortSignal): Promise<void> {
  const device = '/machine/peripheral/disk-data/virtio-backend';
  await lab.qmp(async (qmp) => {
    const say = async (line: string) =>
      qmp.execute('human-monitor-command', { 'command-line': line }, signal);
    expect(await say(`block_set_io_throttle ${device} 0 0 0 0 0 2`)).toBe('');
    while (!ended.aborted) {
      await say(`qemu-io -d ${device} "aio_write -q -P 7 0 4096"`);
      await sleep(WRITE_EVERY_MS);
    }
    await say(`block_set_io_throttle ${device} 0 0 0 0 0 0`);
  });
}

describe('GuestThrottle on QEMU', () => {
  it('reads slower while the guest waits for its writes, and the point says so', async () => {
    await using lab = await QemuLab.create([
      { name: 'data', format: 'raw', sizeBytes: DISK_BYTES },
    ]);
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    await lab.fill('data', { offset: 0, length: DISK_BYTES }, 3);
    const { vault } = await createVault();
    const service = new BackupService(
      {
        engine,
        vaults: { open: async () => heldVault(vault) },
        points: { newestOf: async () => [], put: async () => undefined },
        host: { id: 'lab' },
      },
      new SystemClock(),
      new SilentLog(),
    );
    const request = { vmId: lab.vm, vaultId: 'v', crashConsistent: true, full: true };
    const running = { jobId: 'job', signal, report: () => undefined };

    const ended = new AbortController();
    const writing = writeSlowly(lab, ended.signal);
    const guestLatency = { p99MsMax: 100, underEmulation: true };
    const limits = { rateLimits: constantRate(RATE), guestLatency };
    const taken = await service.takeRecoveryPoint({ ...request, ...limits }, running);
    ended.abort();
    await writing;

    expect(taken.guestThrottledMs).toBeGreaterThan(0);
    expect(taken.point.notes.join()).toMatch(
      /Reading was slowed down because the guest's writes took longer than 100 ms/,
    );

    const emulated = { p99MsMax: 1, underEmulation: false };
    const left = await service.takeRecoveryPoint({ ...request, guestLatency: emulated }, running);
    expect(left.point.notes.join()).toMatch(/was not kept: its processor is emulated/);
    await vault.close();
  });
});
