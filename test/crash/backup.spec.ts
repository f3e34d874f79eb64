import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestAgent } from '../../src/engines/qemu/guest/guest-agent.ts';
import type { TakenPoint } from '../../src/backup/backup.service.ts';
import { Draw } from '../support/draw.ts';
import { BackupLab, type LabVault } from '../support/guest/backup-lab.ts';
import { checkJournal } from '../support/guest/guest.ts';
import type { ChildTask } from './backup-child.ts';

/**
 * A run draws 2 of 13 steps of the engine, 1 of 8 moments of the vault, 1 of 4 deaths with QEMU:
 * each with a probability of at least 1 in 8, so within 35 runs with 99 %. All: `npm run soak --
 * drawn`. The steps of the engine are also drawn, without a guest, in engine.spec.ts; a vault whose
 * writer dies after each of its writes is in vault.spec.ts, in every run.
 */
const draw = new Draw('killed backups');
const TIMEOUT_MS = 900_000;
/** For what hangs: a guest that is emulated on a busy host is slow. */
const AGENT_TIMEOUT_MS = 300_000;
const CHILD = join(import.meta.dirname, 'backup-child.ts');

type Moment = Pick<ChildTask, 'step' | 'put'>;

/** Every step of a backup of the engine. */
const STEPS: readonly Moment[] = [
  ...['overlays-planned', 'overlays-made', 'overlays-added', 'announced', 'guest-frozen'],
  ...['pivoted', 'thawed', 'frozen-saved', 'changes-logged'],
  ...['merge-announced', 'merge-committed', 'merge-saved', 'merge-closed'],
].map((step) => ({ step }));

/** Every step of the vault: a small incremental has four PUTs. */
const PUTS: readonly Moment[] = [0, 1, 2, 3].flatMap((index) =>
  (['before', 'after'] as const).map((when) => ({ put: { index, when } })),
);

/** Moments between the commands before and those after a freeze. */
const COMMANDED: readonly Moment[] = [
  { step: 'overlays-added' },
  { step: 'guest-frozen' },
  { step: 'frozen-saved' },
];

/** Phases A to D of a backup in which QEMU dies together with the service. */
const BOTH: readonly Moment[] = [
  { step: 'overlays-added' },
  { step: 'pivoted' },
  { step: 'merge-announced' },
  { step: 'merge-committed' },
];

describe('A backup whose process is killed', () => {
  let lab: BackupLab;
  let target: LabVault;

  /** Runs a backup in a child that must not come back. */
  const dieAt = async (
    moment: Moment,
    qemuToo: boolean,
    more: Pick<ChildTask, 'run' | 'guestCommands'> = {},
  ): Promise<void> => {
    await lab.engine.close();
    await target.vault.close();
    const task: ChildTask = {
      stateFolder: join(lab.folder, 'state'),
      runFolder: join(lab.folder, 'run'),
      vmId: lab.definition.id,
      vaultFolder: target.store.location,
      cacheFolder: join(lab.folder, 'cache'),
      masterKeyHex: Buffer.from(target.key).toString('hex'),
      qemuToo,
      ...more,
      ...moment,
    };
    const child = spawn(process.execPath, [CHILD, JSON.stringify(task)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
    const [, signal] = (await once(child, 'close')) as [number | null, string | null];
    expect({ signal, said }).toEqual({ signal: 'SIGKILL', said: '' });
    await lab.reopen(target);
  };

  const expectThawed = async (): Promise<void> => {
    const { agent } = lab.engine.paths(lab.definition.id);
    await using connection = await GuestAgent.connect(agent, AGENT_TIMEOUT_MS, lab.signal);
    expect(await connection.freezeStatus(AGENT_TIMEOUT_MS, lab.signal)).toBe('thawed');
  };

  const expectRestores = async (taken: TakenPoint, jobId: string): Promise<void> => {
    const file = await lab.restore(target, taken.point, 'data');
    expect(await lab.hash(file)).toBe(lab.frozenHashes.get(jobId)?.['data']);
    await rm(file);
  };

  beforeAll(async () => {
    lab = await BackupLab.create({ dataBytes: 256 * 1024 * 1024, writerPauseMs: 150 });
    lab.hashedDisks = new Set(['data']);
    await lab.engine.start(lab.definition.id, lab.signal);
    await lab.serial.waitForReady();
    await lab.serial.waitForJournal(3);
    target = await lab.addVault();
    await lab.backUp(target, 'first');
  }, TIMEOUT_MS);

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  }, TIMEOUT_MS);

  it.each([...draw.some(STEPS, 2), ...draw.some(PUTS, 1)])(
    'at %j leaves a guest that writes, and the next backup is incremental and right',
    async (moment) => {
      const before = await target.vault.points(lab.signal);
      await dieAt(moment, false);

      await lab.engine.reconcile(lab.signal);
      await expectThawed();
      const { lines } = await lab.serial.lastJournalLine();
      await lab.serial.waitForJournal(lines + 1);
      const jobId = JSON.stringify(moment);
      const taken = await lab.backUp(target, jobId);

      expect(taken.point.disks.map(({ method }) => method)).toEqual([
        'changed-extents',
        'changed-extents',
      ]);
      await expectRestores(taken, jobId);
      const after = await target.vault.points(lab.signal);
      expect(after.map(({ id }) => id)).toEqual(expect.arrayContaining(before.map(({ id }) => id)));
    },
    TIMEOUT_MS,
  );

  it(
    'between the seal and the catalog is found by the next attempt of its run, which freezes nothing',
    async () => {
      const before = await target.vault.points(lab.signal);
      await dieAt({ put: { index: 3, when: 'after' } }, false, { run: 'run-1' });
      await lab.engine.reconcile(lab.signal);

      const found = await lab.backUp(target, 'attempt 2', {
        origin: { kind: 'policy' as const, run: 'run-1' },
      });

      const [sealed, ...more] = (await target.vault.points(lab.signal)).slice(before.length);
      expect(more).toEqual([]);
      expect(found).toMatchObject({ found: true, point: sealed, transactionMs: 0 });
      expect(sealed?.origin).toEqual({ kind: 'policy', run: 'run-1', service: 'child' });
      expect(lab.frozenHashes.has('attempt 2')).toBe(false);
      const other = await lab.backUp(target, 'other run', {
        origin: { kind: 'policy' as const, run: 'run-2' },
      });
      expect(other).toMatchObject({ found: false, point: { parentId: sealed?.id } });
      await expectRestores(other, 'other run');
    },
    TIMEOUT_MS,
  );

  it.each(draw.some(COMMANDED, 1))(
    'at %j between its commands in the guest: the next service runs those after the freeze',
    async (moment) => {
      const script = (text: string) => ['/bin/busybox', 'sh', '-c', text];
      const guestCommands = {
        before: [script('echo held >/run/state')],
        after: [script('echo freed >/run/state')],
        timeLimitMs: AGENT_TIMEOUT_MS,
        onFailure: 'abort' as const,
      };
      await dieAt(moment, false, { guestCommands });

      const said = await lab.engine.reconcile(lab.signal);

      expect(said.join()).toContain('ran /bin/busybox (exit code 0), as a job that has ended owed');
      expect(await lab.inGuest('/bin/busybox', 'cat', '/run/state')).toBe('freed\n');
      await expectThawed();
      const { point } = await lab.backUp(target, 'commanded', { guestCommands });
      expect(point.notes.join()).toContain(
        'Commands in the guest: before the freeze /bin/busybox (exit code 0); after the freeze /bin/busybox (exit code 0).',
      );
    },
    TIMEOUT_MS,
  );

  it.each(draw.some(BOTH, 1))(
    'at %j together with QEMU boots what was written, and the next backup is incremental and right',
    async (moment) => {
      const line = await lab.serial.lastJournalLine();
      await dieAt(moment, true);

      await lab.engine.reconcile(lab.signal);
      await lab.serialBoots(async () => lab.engine.start(lab.definition.id, lab.signal));
      const jobId = `both ${JSON.stringify(moment)}`;
      const taken = await lab.backUp(target, jobId);

      expect(taken.point.disks.map(({ method }) => method)).toEqual([
        'changed-extents',
        'changed-extents',
      ]);
      await expectRestores(taken, jobId);
      const file = await lab.restore(target, taken.point, 'data');
      expect((await checkJournal(file, line)).problems).toEqual([]);
      await rm(file);
    },
    TIMEOUT_MS,
  );

  it('leaves earlier points as they were', async () => {
    const [first] = await target.vault.points(lab.signal);
    if (first === undefined) {
      throw new Error('the first point is gone');
    }
    const file = await lab.restore(target, first, 'data');

    expect(await lab.hash(file)).toBe(lab.frozenHashes.get('first')?.['data']);
  });
});
