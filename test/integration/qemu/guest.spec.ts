import { spawn } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestHooks, type GuestCommandsRequest } from '../../../src/backup/guest-hooks.ts';
import type { FrozenVm } from '../../../src/engines/engine.ts';
import { GuestAgent } from '../../../src/engines/qemu/guest/guest-agent.ts';
import { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { QmpClient } from '../../../src/engines/qemu/qmp/qmp-client.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import type { EngineService } from '../../support/guest/engine-service.main.ts';
import { checkJournal, makeGuestVm, SerialLog } from '../../support/guest/guest.ts';

const MiB = 1024 * 1024;
const WAKE_MS = 300_000;
/** The parent of what an agent runs is the agent. */
const STOP_AGENT = 'busybox kill -STOP $PPID';
const SIZE = '$(busybox cat /sys/block/vdb/size)';
/** The guest has no other ear than its agent, but it sees a disk grow. */
const WAKE_LATER = `(size=${SIZE}; while [ $size = ${SIZE} ]; do busybox sleep 1; done; ${STOP_AGENT.replace('STOP', 'CONT')}) >/dev/null 2>&1 &`;
const { signal } = new AbortController();
const program = fileURLToPath(
  new URL('../../support/guest/engine-service.main.ts', import.meta.url),
);

/** A real guest with its writer, booted once for all tests. */
describe('QemuEngine with a guest that writes', () => {
  let folder: string;
  let folders: { stateFolder: string; runFolder: string };
  let definition: VmDefinition;
  let engine: QemuEngine;
  let serial: SerialLog;
  let dataMib = 256;

  beforeAll(async () => {
    folder = await mkdtemp('/tmp/hk-guest-');
    folders = { stateFolder: join(folder, 'state'), runFolder: join(folder, 'run') };
    definition = await makeGuestVm(folder, { writerPauseMs: 50, dataBytes: dataMib * MiB });
    engine = new QemuEngine(folders);
    await engine.add(definition, signal);
    await engine.start(definition.id, signal);
    serial = new SerialLog(engine.paths(definition.id).serialLog);
    await serial.waitForReady();
  });

  afterAll(async () => {
    await engine.destroy(definition.id, signal).finally(async () => {
      await engine.close();
      await rm(folder, { recursive: true, force: true });
    });
  });

  async function freeze(jobToken: string, options = {}): Promise<FrozenVm> {
    return engine.freeze(definition.id, { jobToken, ...options }, signal);
  }

  /** Copies a frozen disk to a raw file. */
  async function copyOut(frozen: FrozenVm, name: string): Promise<string> {
    const disk = frozen.disks.find((candidate) => candidate.name === name);
    const path = join(folder, `${name}-copy.raw`);
    await using file = await open(path, 'w');
    await file.truncate(disk?.sizeBytes ?? 0);
    for await (const { offset, length, content } of disk?.reader.extents(signal) ?? []) {
      for (let done = 0; content === 'data' && done < length; done += MiB) {
        const piece = new Uint8Array(Math.min(MiB, length - done));
        await disk?.reader.read(offset + done, piece, signal);
        await file.write(piece, 0, piece.length, offset + done);
      }
    }
    return path;
  }

  async function agentStatus(): Promise<string> {
    await using agent = await GuestAgent.connect(engine.paths(definition.id).agent, 5000, signal);
    return await agent.freezeStatus(5000, signal);
  }

  it('shows file systems that were at rest, in at most 10 ms, again and again', async () => {
    const figures: string[] = [];
    const transactions: number[] = [];
    for (let round = 1; round <= 4; round += 1) {
      const { lines } = await serial.lastJournalLine();
      await serial.waitForJournal(lines + 3);
      const frozen = await freeze(`round-${String(round)}`);
      const reported = await serial.lastJournalLine();
      expect([frozen.consistency, frozen.consistencyReason]).toEqual(['filesystem', undefined]);
      expect(await agentStatus()).toBe('thawed');
      const journal = await checkJournal(await copyOut(frozen, 'data'));
      expect(journal.problems).toEqual([]);
      expect(journal.neededRecovery).toBe(false);
      expect(journal.lines).toBeGreaterThanOrEqual(lines + 3);
      expect(journal.lines).toBeLessThanOrEqual(reported.lines + 1);
      transactions.push(frozen.transactionMs);
      figures.push(
        `round ${String(round)}: guest frozen ${frozen.guestFrozenMs.toFixed(0)} ms, ` +
          `transaction ${frozen.transactionMs.toFixed(1)} ms, journal lines ${String(journal.lines)}`,
      );
      await frozen[Symbol.asyncDispose]();
    }
    console.log(figures.join('\n'));
    // Ten times what it takes: waiting for a core makes it longer, and nothing makes it shorter.
    expect(Math.min(...transactions)).toBeLessThanOrEqual(100);
  });

  it('is crash-consistent when asked not to freeze, and says so', async () => {
    await using frozen = await freeze('crash', { crashConsistent: true });

    expect(frozen.consistency).toBe('crash');
    expect(frozen.consistencyReason).toContain('as asked');
    expect(frozen.guestFrozenMs).toBe(0);
    expect((await checkJournal(await copyOut(frozen, 'data'))).problems).toEqual([]);
  });

  it.each([
    ['the service', ['service']],
    ['the service and its guard', ['service', 'guard']],
  ] as const)('never leaves the guest frozen when %s are killed', async (_, kill) => {
    await engine.close();
    const service: EngineService = {
      ...folders,
      vm: definition.id,
      action: 'backup',
      crashConsistent: false,
      killAt: 'guest-frozen',
      kill,
    };
    const child = spawn(process.execPath, [program, JSON.stringify(service)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
    await new Promise((resolve) => child.once('close', resolve));
    expect(said).toContain('reached guest-frozen');
    const killedMs = performance.now();
    engine = new QemuEngine(folders);
    const hasGuard = !(kill as readonly string[]).includes('guard');
    if (!hasGuard) {
      expect(await agentStatus()).toBe('frozen');
    }

    const repairs = await engine.reconcile(signal);

    const tookMs = performance.now() - killedMs;
    console.log(
      `${kill.join(' and ')} killed: thawed after ${tookMs.toFixed(0)} ms: ${repairs.join('; ')}`,
    );
    expect(await agentStatus()).toBe('thawed');
    expect(tookMs).toBeLessThan(30_000);
    expect(repairs.join()).toContain(hasGuard ? 'already thawed' : 'thawed the guest');
    const { lines } = await serial.lastJournalLine();
    await serial.waitForJournal(lines + 2);
  });

  it('is not left frozen by a freeze of which it hears when nobody listens any more', async () => {
    const { agent: socket } = engine.paths(definition.id);
    const stopped = 'the agent is stopped';
    {
      await using agent = await GuestAgent.connect(socket, WAKE_MS, signal);
      // Time for the answer to this command.
      const later = `(busybox sleep 1; ${STOP_AGENT}; echo ${stopped} >/dev/console) >/dev/null 2>&1 &`;
      const words = ['sh', '-c', `${WAKE_LATER} ${later}`];
      await agent.run('/bin/busybox', words, WAKE_MS, signal);
      await serial.waitFor(new RegExp(stopped));
      await expect(agent.freeze(200, signal)).rejects.toMatchObject({
        code: 'engine.agent-silent',
      });
    }

    await growData(definition);

    await using woken = await GuestAgent.connect(socket, WAKE_MS, signal);
    expect(await woken.freezeStatus(WAKE_MS, signal)).toBe('thawed');
  });

  it('runs commands in the guest, and is not carried away by one that prints, hangs or is missing', async () => {
    await using claim = await engine.claim(definition.id, 'commands', signal);
    const shell = async (script: string, timeLimitMs = 60_000) =>
      engine.runInGuest(
        claim,
        { words: ['/bin/busybox', 'sh', '-c', script], timeLimitMs },
        signal,
      );

    expect(await shell('echo out; echo err >&2; exit 7')).toMatchObject({
      ...{ program: '/bin/busybox', exitCode: 7, output: 'out\nerr\n', isCut: false },
    });
    const long = await shell('busybox yes 0123456 | busybox head -c 4000000');
    expect(long).toMatchObject({ exitCode: 0, isCut: true });
    expect(long.output).toHaveLength(64 * 1024);
    expect(long.output.slice(-8)).toBe('0123456\n');
    expect(await shell('busybox sleep 300', 1000)).toMatchObject({
      ...{ problem: 'did not end in 1 s', output: '' },
    });
    const missing = { words: ['/bin/missing'], timeLimitMs: 60_000 };
    const end = await engine.runInGuest(claim, missing, signal);
    expect(end.exitCode).toBeUndefined();
    expect(end.problem).toContain('refused guest-exec');
    const { consistency } = await engine
      .freeze(definition.id, { jobToken: 'commands', claim }, signal)
      .then(async (frozen) => {
        await frozen[Symbol.asyncDispose]();
        return frozen;
      });
    expect(consistency).toBe('filesystem');
  });

  it('takes what a policy allows while the agent hangs, and runs what it owes when that wakes', async () => {
    const script = (text: string) => ['/bin/busybox', 'sh', '-c', text];
    await using claim = await engine.claim(definition.id, 'hanging', signal);
    const commands: GuestCommandsRequest = {
      before: [script(`${WAKE_LATER} ${STOP_AGENT}`)],
      after: [script('echo woken >>/run/owed'), script('echo again >>/run/owed')],
      timeLimitMs: 5000,
      onFailure: 'crash-consistent',
    };
    const hooks = new GuestHooks(engine, claim, commands, new SilentLog());

    const options = { jobToken: 'hanging', claim, crashConsistent: true };
    const frozen = await hooks.around(
      async () => engine.freeze(definition.id, options, signal),
      signal,
    );

    expect(hooks.hasFailed).toBe(true);
    expect(frozen.consistency).toBe('crash');
    expect(hooks.explained(frozen).consistencyReason).toContain('/bin/busybox (');
    expect(hooks.reports.map(({ when }) => when)).toEqual(['before', 'after']);
    await frozen[Symbol.asyncDispose]();
    await growData(definition);
    const agent = await GuestAgent.connect(engine.paths(definition.id).agent, WAKE_MS, signal);
    await agent.close();

    const next = new GuestHooks(engine, claim, undefined, new SilentLog());
    await next.around(async () => undefined, signal);

    expect(next.reports.map(({ when, exitCode }) => [when, exitCode])).toEqual([
      ['earlier', 0],
      ['earlier', 0],
    ]);
    const written = { words: script('busybox cat /run/owed'), timeLimitMs: 60_000 };
    expect((await engine.runInGuest(claim, written, signal)).output).toBe('woken\nagain\n');
  });

  it('follows TRIM: what the guest discards is zero and takes no room after the merge', async () => {
    const first = await freeze('before-trim');
    const state = first.disks[1]?.tracking;
    await first[Symbol.asyncDispose]();
    {
      await using agent = await GuestAgent.connect(engine.paths(definition.id).agent, 5000, signal);
      const trimmed = await agent.run('/bin/busybox', ['fstrim', '-v', '/data'], 20_000, signal);
      expect(trimmed).toMatchObject({ exitCode: 0 });
    }

    await using second = await freeze('after-trim');

    const changes = await second.disks[1]?.changedSince(state);
    const extents = changes?.method === 'changed-extents' ? changes.extents : [];
    const zero = extents.filter(({ content }) => content === 'zero');
    expect(zero.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(100 * MiB);
    expect((await checkJournal(await copyOut(second, 'data'))).problems).toEqual([]);
  });

  it('shuts the guest down by its agent, journals the images, and starts again', async () => {
    await engine.stop(definition.id, { force: false }, signal);
    const stopped = await engine.get(definition.id, signal);
    expect(stopped).toMatchObject({ status: 'stopped', warnings: [] });
    const report = await checkJournal(await offlineCopy());
    expect(report).toMatchObject({ problems: [], neededRecovery: false });

    await engine.start(definition.id, signal);
    expect((await serial.waitForReady()).boot).toBeGreaterThanOrEqual(1);
  });

  async function growData({ id }: VmDefinition): Promise<void> {
    await using qmp = await QmpClient.connect(engine.paths(id).secondMonitor, signal);
    const devices = await qmp.execute('query-block', {}, signal);
    const data = devices.find(({ qdev }) => qdev?.includes('disk-data/'));
    const node = { 'node-name': data?.inserted?.['node-name'] };
    dataMib += 1;
    await qmp.execute('block_resize', { ...node, size: dataMib * MiB }, signal);
  }

  async function offlineCopy(): Promise<string> {
    await using frozen = await freeze('offline');
    expect(frozen.consistency).toBe('powered-off');
    return await copyOut(frozen, 'data');
  }
});
