import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import { runCommand } from '../../src/kernel/command.ts';
import { makeGuestVm, SerialLog } from '../support/guest/guest.ts';
import { RealService } from '../support/service/real-service.ts';

const TIMEOUT_MS = 600_000;
const { signal } = new AbortController();

it(
  'lets guests run on when everything in the group of the service is ended or killed',
  async () => {
    await ensureBuild(join(import.meta.dirname, '../..'));
    const folder = await mkdtemp(join(tmpdir(), 'hk-group-'));
    // PostgreSQL runs as another user when this is root.
    await chmod(folder, 0o711);
    const home = join(folder, 'home');
    const definition = await makeGuestVm(join(folder, 'disks'), { writerPauseMs: 150 });
    let service = await RealService.start(home, signal);
    await service.client.call('addVm', { body: definition }, signal);
    await service.client.call('startVm', { path: { vm: 'guest' } }, signal);
    const serial = new SerialLog(join(home, 'run', definition.id, 'serial.log'));
    await serial.waitForReady();
    await serial.waitForJournal(2);

    for (const name of ['SIGTERM', 'SIGKILL'] as const) {
      service.signalGroup(name);
      await service.gone();

      const { lines } = await serial.lastJournalLine();
      await serial.waitForJournal(lines + 2);
      service = await RealService.start(home, signal);
      const vm = await service.client.call('getVm', { path: { vm: 'guest' } }, signal);
      expect(vm).toMatchObject({ status: 'running' });
    }

    await service.client.call('stopVm', { path: { vm: 'guest' }, body: { force: true } }, signal);
    await service.stop();
    const left = await runCommand('pgrep', ['-fa', folder], signal, { accept: [0, 1] });
    expect(left.stdout).toBe('');
    await rm(folder, { recursive: true });
  },
  TIMEOUT_MS,
);
