import { once } from 'node:events';
import { watch } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import type { Job } from '../../src/api/contract/jobs.ts';
import { GuestAgent } from '../../src/engines/qemu/guest/guest-agent.ts';
import { runCommand } from '../../src/kernel/command.ts';
import type { VmDefinition } from '../../src/vm/definition.ts';
import { checkJournal, makeGuestVm, SerialLog } from '../support/guest/guest.ts';
import { RealService } from '../support/service/real-service.ts';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 600_000;
const AGENT_TIMEOUT_MS = 300_000;
/** Enough for several packs of 16 MiB, so that the first one is not the end. */
const BALLAST = ['if=/dev/urandom', 'of=/data/ballast', 'bs=1M', 'count=40', 'conv=fsync'];
const { signal } = new AbortController();

describe('A service that is killed', () => {
  let folder: string;
  let definition: VmDefinition;
  let service: RealService;
  let serial: SerialLog;

  const agent = async <T>(use: (connection: GuestAgent) => Promise<T>): Promise<T> => {
    const socket = join(folder, 'home/run', definition.id, 'agent');
    await using connection = await GuestAgent.connect(socket, AGENT_TIMEOUT_MS, signal);
    return await use(connection);
  };

  const expectWriting = async (): Promise<void> => {
    const status = agent(async (connection) => connection.freezeStatus(AGENT_TIMEOUT_MS, signal));
    expect(await status).toBe('thawed');
    const { lines } = await serial.lastJournalLine();
    await serial.waitForJournal(lines + 2);
  };

  /** Kills the service when something appears or changes in `place`, and starts another. */
  const dieWhen = async (place: string, start: () => Promise<Job>): Promise<Job> => {
    const changes = watch(place, { recursive: true });
    const changed = once(changes, 'change');
    const started = await start();
    await changed;
    await service.kill();
    changes.close();
    service = await RealService.start(join(folder, 'home'), signal);
    return service.client.call('getJob', { path: { job: started.id } }, signal);
  };

  const backUp = async (): Promise<Job> =>
    service.client.call('startBackup', { body: { vm: 'guest' } }, signal);

  const restore = async (point: string, file: string): Promise<Job> =>
    service.client.call(
      'startRestore',
      {
        body: { kind: 'disk', point, disk: 'data', file, format: 'raw' },
      },
      signal,
    );

  const points = async () => (await service.client.call('listPoints', {}, signal)).points;

  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../..'));
    folder = await mkdtemp(join(tmpdir(), 'hk-crash-'));
    // PostgreSQL runs as another user when this is root.
    await chmod(folder, 0o711);
    definition = await makeGuestVm(join(folder, 'disks'), {
      dataBytes: 256 * MIB,
      writerPauseMs: 150,
    });
    service = await RealService.start(join(folder, 'home'), signal);
    const { client } = service;
    await client.call(
      'createVault',
      {
        body: {
          name: 'main',
          location: join(folder, 'vault'),
          passphrase: 'a passphrase to crash',
        },
      },
      signal,
    );
    await client.call('addVm', { body: definition }, signal);
    await client.call('startVm', { path: { vm: 'guest' } }, signal);
    serial = new SerialLog(join(folder, 'home/run', definition.id, 'serial.log'));
    await serial.waitForReady();
    await serial.waitForJournal(2);
    const first = await service.ended(await backUp(), signal);
    expect(first.state).toBe('succeeded');
  }, TIMEOUT_MS);

  afterAll(async () => {
    await service.client.call('stopVm', { path: { vm: 'guest' }, body: { force: true } }, signal);
    await service.stop();
    const left = await runCommand('pgrep', ['-fa', folder], signal, { accept: [0, 1] });
    await rm(folder, { recursive: true });
    expect(left.stdout).toBe('');
  }, TIMEOUT_MS);

  it(
    'in a backup leaves no half point, a guest that writes, and the next backup takes the change only',
    async () => {
      const before = await points();
      await agent(async (connection) =>
        connection.run('/bin/dd', BALLAST, AGENT_TIMEOUT_MS, signal),
      );

      const killed = await dieWhen(join(folder, 'vault/d'), backUp);

      expect(killed).toMatchObject({ state: 'interrupted', fault: { code: 'job.interrupted' } });
      expect((await points()).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
      await expectWriting();
      const [first] = before;
      const verified = await service.ended(
        await service.client.call('startVerification', { body: { point: first?.id } }, signal),
        signal,
      );
      expect(verified.state).toBe('succeeded');
      const { lines, chain } = await serial.lastJournalLine();
      const next = await service.ended(await backUp(), signal);
      expect(next).toMatchObject({
        state: 'succeeded',
        result: { disks: [{ method: 'changed-extents' }, { method: 'changed-extents' }] },
      });
      const point = (await points()).find(({ id }) => !before.some((other) => other.id === id));
      const file = join(folder, 'copy.raw');
      const restored = await service.ended(await restore(point?.id ?? '', file), signal);
      expect(restored.state).toBe('succeeded');
      expect((await checkJournal(file, { lines, chain })).problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'in a restore leaves nothing of it, and the next one is whole',
    async () => {
      const [newest] = (await points()).toSorted((a, b) => (a.id < b.id ? 1 : -1));
      const to = join(folder, 'restored');
      await mkdir(to);
      const file = join(to, 'data.raw');

      const killed = await dieWhen(to, async () => restore(newest?.id ?? '', file));

      expect(killed).toMatchObject({ state: 'interrupted', fault: { code: 'job.interrupted' } });
      expect(await readdir(to)).toEqual([]);
      await expectWriting();
      const again = await service.ended(await restore(newest?.id ?? '', file), signal);
      expect(again.state).toBe('succeeded');
      expect(await readdir(to)).toEqual(['data.raw']);
      const report = await checkJournal(file, { lines: 0, chain: 'start' });
      expect(report.problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'lets the guest run on when everything in the group of the service is ended or killed',
    async () => {
      for (const name of ['SIGTERM', 'SIGKILL'] as const) {
        service.signalGroup(name);
        await service.gone();

        const { lines } = await serial.lastJournalLine();
        await serial.waitForJournal(lines + 2);
        service = await RealService.start(join(folder, 'home'), signal);
        const vm = await service.client.call('getVm', { path: { vm: 'guest' } }, signal);
        expect(vm).toMatchObject({ status: 'running' });
      }
    },
    TIMEOUT_MS,
  );
});
