// npm run soak -- throttle [--mib 320] [--rate 24] [--limit 40]
//
// A guest writes and syncs all the time on a disk that gives --rate MiB in a second to all who use
// it, and a backup reads the same disk, first without and then with a limit for what the guest
// feels. Compares how long the guest's flushes took. Fails unless one in a hundred takes at most
// half as long with the limit, and both backups end.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BackupService, type TakenPoint } from '../../src/backup/backup.service.ts';
import { QemuEngine } from '../../src/engines/qemu/qemu-engine.ts';
import { QmpClient } from '../../src/engines/qemu/qmp/qmp-client.ts';
import { runCommand } from '../../src/kernel/command.ts';
import { SystemClock } from '../../src/kernel/clock.ts';
import { SilentLog } from '../../src/kernel/log.ts';
import type { GuestLatencyLimit } from '../../src/kernel/rates/guest-latency.ts';
import { VmDefinition } from '../../src/vm/definition.ts';
import { makeGuestVm, SerialLog } from '../support/guest/guest.ts';
import { LimitedDisk } from '../support/guest/limited-disk.ts';
import { heldVault } from '../support/vault/held-vault.ts';
import { createVault } from '../support/vault/vault-lab.ts';

const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '320' },
    rate: { type: 'string', default: '24' },
    limit: { type: 'string', default: '40' },
  },
});

const MiB = 1024 * 1024;
const { signal } = new AbortController();
const REQUESTS_PER_SECOND = 400;
/** The guest writes and syncs, pauses so long, and begins again. */
const WRITER_PAUSE_MS = 20;
const SAMPLE_MS = 20;
const SHARE = 0.99;
const QUIET_MS = 10_000;
/** Its place among the disks. */
const DATA_DISK = 1;

/** How long each flush of a disk took, by QEMU's own sums. */
class FlushTimes {
  readonly ms: number[] = [];
  private before = { operations: 0, totalNs: 0 };

  /** Samples often enough that mostly one flush lies between two looks. */
  async follow(qmp: QmpClient, until: AbortSignal): Promise<void> {
    await this.look(qmp);
    this.ms.length = 0;
    while (!until.aborted) {
      await sleep(SAMPLE_MS);
      await this.look(qmp);
    }
  }

  private async look(qmp: QmpClient): Promise<void> {
    const command = { 'command-line': 'info blockstats' };
    const said = await qmp.execute('human-monitor-command', command, signal);
    // A line a device in the order of the disks, without their names.
    const line = said.split('\n')[DATA_DISK] ?? '';
    const value = (name: string): number => Number(new RegExp(`${name}=(\\d+)`).exec(line)?.[1]);
    const now = {
      operations: value('flush_operations'),
      totalNs: value('flush_total_time_ns'),
    };
    assert(!Number.isNaN(now.totalNs), said);
    const operations = now.operations - this.before.operations;
    for (let each = 0; each < operations; each += 1) {
      this.ms.push((now.totalNs - this.before.totalNs) / operations / 1e6);
    }
    this.before = now;
  }
}

interface Felt {
  readonly flushes: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

function felt(ms: readonly number[]): Felt {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { flushes: ms.length, medianMs: at(0.5), p99Ms: at(SHARE), mostMs: sorted.at(-1) ?? NaN };
}

/** What is the same all over is quickly stored, and has to be read all the same. */
async function writeBallast(path: string, mib: number): Promise<void> {
  const piece = randomBytes(MiB);
  await using file = await open(path, 'wx');
  for (let each = 0; each < mib; each += 1) {
    await file.write(piece);
  }
  await file.sync();
}

await using ending = new AsyncDisposableStack();
const mib = Number(values.mib);
const disk = ending.use(
  new LimitedDisk((mib + 1024) * MiB, {
    bytesPerSecond: Number(values.rate) * MiB,
    requestsPerSecond: REQUESTS_PER_SECOND,
  }),
);
const folder = await mkdtemp('/tmp/hk-throttle-');
ending.defer(async () => rm(folder, { recursive: true, force: true }));
const made = await makeGuestVm(folder, {
  dataBytes: 256 * MiB,
  format: 'raw',
  writerPauseMs: WRITER_PAUSE_MS,
});
const [system, data] = made.disks;
assert(system !== undefined && data !== undefined);
const path = join(disk.path, 'data.raw');
await runCommand('cp', ['--sparse=always', data.path, path], signal);
const ballast = { id: randomUUID(), name: 'ballast', path: join(disk.path, 'ballast.raw') };
await writeBallast(ballast.path, mib);
const sizeBytes = mib * MiB;
const definition = VmDefinition.parse({
  ...made,
  disks: [
    { ...system, excluded: true },
    { ...data, path },
    { ...ballast, format: 'raw', sizeBytes },
  ],
});
const engine = new QemuEngine({
  stateFolder: join(folder, 'state'),
  runFolder: join(folder, 'run'),
});
ending.defer(async () => engine.close());
await engine.add(definition, signal);
await engine.start(definition.id, signal);
ending.defer(async () => engine.destroy(definition.id, signal));
const paths = engine.paths(definition.id);
await new SerialLog(paths.serialLog).waitForReady();
const serial = new SerialLog(paths.serialLog);
await serial.waitForReady();
await serial.waitForJournal(10);
await using qmp = await QmpClient.connect(paths.secondMonitor, signal);
const { vault } = await createVault();
ending.defer(async () => vault.close());
const backups = new BackupService(
  {
    engine,
    vaults: { open: async () => heldVault(vault) },
    points: { newestOf: async () => [], put: async () => undefined },
    host: { id: 'soak' },
  },
  new SystemClock(),
  new SilentLog(),
);

/** Backs the VM up, and says what the guest felt meanwhile. */
async function measure(guestLatency: GuestLatencyLimit | undefined): Promise<[TakenPoint, Felt]> {
  disk.dropCaches();
  const times = new FlushTimes();
  const ended = new AbortController();
  const following = times.follow(qmp, ended.signal);
  const request = { vmId: definition.id, vaultId: 'v', crashConsistent: true, full: true };
  const running = { jobId: randomUUID(), signal, report: () => undefined };
  const taken = await backups.takeRecoveryPoint({ ...request, guestLatency }, running);
  ended.abort();
  await following;
  return [taken, felt(times.ms)];
}

const alone = new FlushTimes();
await alone.follow(qmp, AbortSignal.timeout(QUIET_MS));
const [, without] = await measure(undefined);
const limit = { p99MsMax: Number(values.limit), underEmulation: true };
const [taken, limited] = await measure(limit);
console.table({ 'no backup': felt(alone.ms), 'no limit': without, 'with the limit': limited });
console.log(`${(taken.durationMs / 1000).toFixed(0)} s; ${taken.point.notes.join(' ')}`);
process.exitCode = limited.p99Ms <= without.p99Ms / 2 ? 0 : 1;
