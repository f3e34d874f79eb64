import { randomUUID } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { TakenPoint } from '../../src/backup/backup.service.ts';
import { runCommand } from '../../src/kernel/command.ts';
import { BackupLab, type LabVault } from '../support/guest/backup-lab.ts';
import { Draw } from '../support/draw.ts';
import { checkJournal } from '../support/guest/guest.ts';

/** All: `npm run soak -- drawn`; for as long as asked: `npm run soak -- backup-cycles`. */
const CYCLES = new Draw('cycles').count(6, 20);
/** The cycle whose backup fails, after each vault has had one. */
const FAILING_CYCLE = 4;
/** Lines that the guest writes at least between two freezes. */
const LINES_PER_CYCLE = 3;
const BALLAST = ['if=/dev/urandom', 'of=/data/ballast', 'bs=1M', 'count=12', 'conv=fsync'];
const TIMEOUT_MS = 900_000;

interface Taken {
  readonly target: LabVault;
  readonly taken: TakenPoint;
  readonly jobId: string;
  /** The journal line that was surely on the disk before the freeze. */
  readonly line: { readonly lines: number; readonly chain: string };
}

describe('Cycles of freeze, backup and merge under a writing guest with TRIM', () => {
  let lab: BackupLab;
  const points: Taken[] = [];

  const backUp = async (target: LabVault): Promise<Taken> => {
    const jobId = randomUUID();
    const line = await lab.serial.lastJournalLine();
    const taken = { target, taken: await lab.backUp(target, jobId), jobId, line };
    points.push(taken);
    return taken;
  };

  /** The guest writes, and every fourth time it also writes and deletes a larger file (TRIM). */
  const letGuestWork = async (cycle: number): Promise<void> => {
    const { lines } = await lab.serial.lastJournalLine();
    if (cycle % 4 === 1) {
      await lab.inGuest('/bin/dd', ...BALLAST);
    }
    if (cycle % 4 === 3) {
      await lab.inGuest('/bin/rm', '-f', '/data/ballast');
      await lab.inGuest('/bin/fstrim', '/data');
    }
    await lab.serial.waitForJournal(lines + LINES_PER_CYCLE);
  };

  beforeAll(async () => {
    lab = await BackupLab.create({ dataBytes: 256 * 1024 * 1024, writerPauseMs: 150 });
    await lab.engine.start(lab.definition.id, lab.signal);
    await lab.serial.waitForReady();
    await lab.serial.waitForJournal(LINES_PER_CYCLE);
  }, TIMEOUT_MS);

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  }, TIMEOUT_MS);

  it(
    'stays incremental in two vaults with different rhythms, also after a failed backup',
    async () => {
      const often = await lab.addVault();
      const rarely = await lab.addVault();
      const transactionsMs: number[] = [];
      const frozenMs: number[] = [];
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        await letGuestWork(cycle);
        if (cycle === FAILING_CYCLE) {
          often.store.follow(({ kind, key }) =>
            kind === 'put' && key.startsWith('s/') ? 'denied' : undefined,
          );
          await expect(lab.backUp(often)).rejects.toMatchObject({ code: 'store.denied' });
          often.store.follow(() => undefined);
        } else {
          const { taken } = await backUp(cycle % 3 === 2 ? rarely : often);
          transactionsMs.push(taken.transactionMs);
          frozenMs.push(taken.guestFrozenMs);
          expect(taken.point.consistency).toBe('filesystem');
        }
      }
      for (const target of [often, rarely]) {
        const [first, ...later] = points.filter((entry) => entry.target === target);
        const methods = later.flatMap(({ taken }) => taken.point.disks.map(({ method }) => method));
        expect(first?.taken.point.disks.map(({ reason }) => reason)).toEqual([
          'first-backup',
          'first-backup',
        ]);
        expect(new Set(methods)).toEqual(new Set(['changed-extents']));
      }
      console.log(
        `transaction ms: median ${median(transactionsMs).toFixed(1)}, max ${Math.max(...transactionsMs).toFixed(1)}; ` +
          `freeze ms: median ${median(frozenMs).toFixed(0)}, max ${Math.max(...frozenMs).toFixed(0)}`,
      );
    },
    TIMEOUT_MS,
  );

  it(
    'leaves one file per disk and no process after a stop, and the live disks are clean',
    async () => {
      await lab.engine.stop(lab.definition.id, { force: false, wait: true }, lab.signal);
      const chains = Object.values(await lab.layers());
      const expected = chains.flat().toSorted();
      const folders = new Set(expected.map((path) => dirname(path)));
      const present: string[] = [];
      for (const folder of folders) {
        present.push(...(await readdir(folder)).map((name) => `${folder}/${name}`));
      }

      expect(chains.map((chain) => chain.length)).toEqual([1, 1]);
      expect(present.filter((path) => /[.]qcow2$/.test(path)).toSorted()).toEqual(expected);
      for (const chain of chains) {
        await runCommand('qemu-img', ['check', '-q', chain.at(-1) ?? ''], lab.signal);
      }
      const processes = await runCommand('pgrep', ['-fa', lab.folder], lab.signal, {
        accept: [0, 1],
      });
      expect(processes.stdout).toBe('');
    },
    TIMEOUT_MS,
  );

  it(
    'restores every point as qemu-img read it when it was frozen, with a clean file system',
    async () => {
      expect(points).toHaveLength(CYCLES - 1);
      for (const { target, taken, jobId, line } of points) {
        const expected = lab.frozenHashes.get(jobId);
        // The system disk hardly changes: its first and last states are enough.
        const isEdge = taken === points[0]?.taken || taken === points.at(-1)?.taken;
        for (const { name } of taken.point.disks.filter((disk) => isEdge || disk.name === 'data')) {
          const file = await lab.restore(target, taken.point, name);
          expect({ name, hash: await lab.hash(file) }).toEqual({ name, hash: expected?.[name] });
          if (name === 'data') {
            const report = await checkJournal(file, line);
            expect(report.problems).toEqual([]);
            expect(report.neededRecovery).toBe(false);
          }
          await rm(file);
        }
      }
    },
    TIMEOUT_MS,
  );
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
