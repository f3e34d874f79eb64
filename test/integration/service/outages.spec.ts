import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cliRun } from '../../support/service/cli-run.ts';
import { OutageLab, told, writes } from '../../support/service/outage-lab.ts';

const MiB = 1024 * 1024;
const TIMEOUT_MS = 600_000;
/** What the guest writes before each backup: more than two packs, and it cannot be compressed. */
const NEW_MIB = 40;
/** What else the guest's system and journal change between two backups, at most. */
const OTHER_BYTES_MAX = 12 * MiB;

// Only root may mount the small disks that are filled.
(process.getuid?.() === 0 ? describe : describe.skip)('a service whose policies fire', () => {
  let lab: OutageLab;

  beforeAll(async () => {
    lab = await OutageLab.create();
    await lab.apply('bucket', 'bucket');
    await lab.pass(6 * 60);
    await lab.until('bucket', ({ state }) => state === 'sealed');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  }, TIMEOUT_MS);

  /** Lines of the log since now. */
  function listen(): () => typeof lab.service.log {
    const from = lab.service.log.length;
    return () => lab.service.log.slice(from);
  }

  async function status() {
    const environment = { readSettings: () => ({ homeFolder: lab.home.path }) };
    return cliRun(['status'], { folder: lab.folder, environment });
  }

  it(
    'goes on by itself when PostgreSQL was away, from the middle of a backup over a fire time',
    async () => {
      await lab.writeInGuest(NEW_MIB);
      const log = listen();
      let cut: Promise<void> | undefined;
      lab.gate.follow(({ step }) => {
        if (step === 'PUT d/') {
          cut ??= lab.database.proxy.cut();
        }
        return false;
      });

      await lab.pass(6 * 60);
      await lab.service.until(() => told(log(), 'job.succeeded')['job.succeeded'] === 1);
      await cut;
      // The next fire time comes while nobody can write down that it does.
      lab.clock.pass(6 * 60);
      await lab.clock.looksAgain(2);
      const away = await status();
      await lab.expectGuestWell();
      await lab.database.proxy.mend();
      await lab.service.until(() => told(log(), 'schedule.goes-on')['schedule.goes-on'] === 1);
      await lab.look();
      const ids = (await lab.runs('bucket')).map(({ id }) => id);
      for (const id of ids) {
        await lab.until('bucket', (run) => run.id === id && run.state === 'sealed');
      }

      expect([away.exitCode, away.stderr]).toEqual([
        8,
        expect.stringContaining('database.unavailable') as string,
      ]);
      const runs = await lab.runs('bucket');
      expect(runs.map(({ state, attempt }) => [state, attempt])).toEqual([
        ['sealed', 1],
        ['sealed', 1],
        ['sealed', 1],
      ]);
      expect((await lab.points('bucket')).map(({ run }) => run).sort()).toEqual(ids.sort());
      const seen = await lab.gate.seen();
      expect(writes(seen, 'PUT s/.ok')).toEqual([1, 1]);
      expect(writes(seen, 'PUT d/').every((times) => times === 1)).toBe(true);
      expect(
        told(
          log(),
          ...['database.lost', 'database.away', 'database.back', 'database.claimed-again'],
          ...['schedule.stands-still', 'schedule.goes-on', 'job.row-not-written'],
          ...['job.started', 'job.succeeded'],
        ),
      ).toEqual({
        ...{ 'database.lost': 1, 'database.away': 1 },
        ...{ 'database.back': 1, 'database.claimed-again': 1 },
        ...{ 'schedule.stands-still': 1, 'schedule.goes-on': 1, 'job.row-not-written': 1 },
        ...{ 'job.started': 2, 'job.succeeded': 2 },
      });
      expect((await status()).stdout).toContain('1 VM: every one has a policy');
      await lab.expectGuestWell();
    },
    TIMEOUT_MS,
  );

  it(
    'goes on by itself when the store was away for an hour',
    async () => {
      await lab.writeInGuest(NEW_MIB);
      const log = listen();
      let cut: Promise<void> | undefined;
      let isMended = false;
      let isAnswered = false;
      let unansweredBytes = 0;
      lab.gate.follow(({ step, bytes }, moment) => {
        if (step === 'PUT d/' && moment === 'before' && isAnswered) {
          // One pack is in the store, and its writer has heard so.
          cut ??= lab.store.cut();
        }
        if (step === 'PUT d/' && moment === 'after') {
          unansweredBytes += cut !== undefined && !isMended ? bytes : 0;
          isAnswered = true;
        }
        return false;
      });

      await lab.pass(6 * 60);
      await lab.until('bucket', (run) => run.state === 'due' && run.attempt === 1);
      await cut;
      const away = await status();
      for (const [attempt, minutes] of [1, 2, 57].entries()) {
        await lab.pass(minutes);
        await lab.until('bucket', (run) => run.state === 'due' && run.attempt === attempt + 2);
        await lab.expectGuestWell();
      }
      await lab.store.mend();
      isMended = true;
      await lab.pass(15);
      const last = await lab.until('bucket', (run) => run.state === 'sealed' && run.attempt > 1);

      expect(away.stdout.match(/does not answer since/g)).toHaveLength(1);
      expect(last.attempt).toBe(5);
      const points = await lab.points('bucket');
      expect(points.filter(({ run }) => run === last.id)).toEqual([
        { id: last.pointId, run: last.id },
      ]);
      const seen = await lab.gate.seen();
      expect(writes(seen, 'PUT s/.ok')).toEqual([1]);
      const sent = seen.filter(({ step, isDone }) => step === 'PUT d/' && isDone);
      const bytes = sent.reduce((sum, request) => sum + request.bytes, 0);
      // Only what the store took without being able to say so is sent once more.
      expect(bytes - unansweredBytes).toBeLessThan(NEW_MIB * MiB + OTHER_BYTES_MAX);
      expect(told(log(), 'store.away', 'store.back', 'schedule.stands-still')).toEqual({
        ...{ 'store.away': 1, 'store.back': 1, 'schedule.stands-still': 0 },
      });
      expect((await status()).stdout).not.toContain('does not answer');
      await lab.expectGuestWell();
    },
    TIMEOUT_MS,
  );

  it(
    "goes on by itself when the vault's disk was full",
    async () => {
      await lab.apply('folder', 'folder');
      const log = listen();
      await lab.folderVault.fill(20 * MiB);

      await lab.pass(6 * 60);
      for (const attempt of [1, 2]) {
        const { fault } = await lab.until(
          'folder',
          (run) => run.state === 'due' && run.attempt === attempt,
        );
        expect(fault).toMatchObject({ code: 'store.full' });
        await lab.expectGuestWell();
        if (attempt === 1) {
          await lab.pass(1);
        }
      }
      await lab.folderVault.empty();
      await lab.pass(2);
      const sealed = await lab.until('folder', ({ state }) => state === 'sealed');

      expect(sealed.attempt).toBe(3);
      const vault = join(lab.folderVault.path, 'vault');
      const seals = (await readdir(join(vault, 's'), { recursive: true })).filter((name) =>
        name.endsWith('.ok'),
      );
      expect(seals).toHaveLength(1);
      expect(await lab.points('folder')).toEqual([{ id: sealed.pointId, run: sealed.id }]);
      expect(told(log(), 'job.failed', 'job.succeeded', 'schedule.stands-still')).toEqual({
        ...{ 'job.failed': 2, 'job.succeeded': 1, 'schedule.stands-still': 0 },
      });
      await lab.expectGuestWell();
    },
    TIMEOUT_MS,
  );

  it(
    "goes on by itself when the home's disk was full",
    async () => {
      await lab.apply('later', 'bucket');
      const log = listen();
      await lab.home.fill(0);

      await lab.pass(6 * 60);
      const { fault } = await lab.until('later', (run) => run.state === 'due' && run.attempt === 1);
      // What the guest says goes to a file on the same disk, so it is heard once there is room.
      await lab.home.empty();
      await lab.expectGuestWell();
      lab.gate.follow();
      await lab.pass(1);
      const sealed = await lab.until('later', ({ state }) => state === 'sealed');

      expect(fault).toMatchObject({ code: 'host.disk-full' });
      expect(sealed.attempt).toBe(2);
      expect(writes(await lab.gate.seen(), 'PUT s/.ok')).toEqual([1]);
      expect((await lab.points('bucket')).filter(({ run }) => run === sealed.id)).toHaveLength(1);
      expect(told(log(), 'job.failed', 'job.succeeded', 'schedule.stands-still')).toEqual({
        ...{ 'job.failed': 1, 'job.succeeded': 1, 'schedule.stands-still': 0 },
      });
      await lab.expectGuestWell();
    },
    TIMEOUT_MS,
  );
});
