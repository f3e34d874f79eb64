import { randomUUID } from 'node:crypto';
import { FakeEngine } from '../../test/support/fake-engine/fake-engine.ts';
import { FailedWith } from '../jobs/job.ts';
import { Fault } from '../kernel/fault.ts';
import { SilentLog } from '../kernel/log.ts';
import { VmDefinition } from '../vm/definition.ts';
import { GuestHooks, type GuestCommandsRequest, type GuestRunner } from './guest-hooks.ts';

const { signal } = new AbortController();
const COMMANDS: GuestCommandsRequest = {
  before: [['/bin/hold', '--password=secret'], ['/bin/flush']],
  after: [['/bin/go'], ['/bin/tell']],
  timeLimitMs: 1000,
  onFailure: 'abort',
};

/** A claimed VM with a guest, and how its programs end. */
async function setUp(programs: Record<string, number | string> = {}) {
  const engine = new FakeEngine();
  const vm = randomUUID();
  await engine.add(
    VmDefinition.parse({
      ...{ id: vm, name: 'web' },
      disks: [{ id: randomUUID(), name: 'd', path: '/d.raw', format: 'raw', sizeBytes: 1 << 20 }],
    }),
    signal,
  );
  engine.setStatus(vm, 'running');
  for (const [program, how] of Object.entries(programs)) {
    engine.guestPrograms.set(program, how);
  }
  const claim = await engine.claim(vm, 'job-1', signal);
  const hooks = (change: Partial<GuestCommandsRequest> = {}) =>
    new GuestHooks(engine, claim, { ...COMMANDS, ...change }, new SilentLog());
  const freeze = async (): Promise<string> => {
    engine.ranInGuests.push('freeze');
    return 'frozen';
  };
  return { engine, vm, claim, hooks, freeze };
}

describe('GuestHooks', () => {
  it('runs the commands around the freeze, and tells of them without parameters', async () => {
    const { engine, hooks, freeze } = await setUp({ '/bin/tell': 3 });
    const run = hooks();

    expect(await run.around(freeze, signal)).toBe('frozen');

    const order = ['/bin/hold', '/bin/flush', 'freeze', '/bin/go', '/bin/tell'];
    expect(engine.ranInGuests).toEqual(order);
    expect(run.hasFailed).toBe(false);
    expect(run.notes()).toEqual([
      'Commands in the guest: before the freeze /bin/hold (exit code 0), /bin/flush (exit code 0); after the freeze /bin/go (exit code 0), /bin/tell (exit code 3).',
    ]);
    expect(run.reports.map(({ when, program }) => `${when} ${program}`)).toEqual([
      ...['before /bin/hold', 'before /bin/flush', 'after /bin/go', 'after /bin/tell'],
    ]);
  });

  it.each([
    ['an exit code', 4, '/bin/hold (exit code 4)', { program: '/bin/hold', exitCode: 4 }],
    ['no end', 'did not end in 1 s', '/bin/hold (did not end in 1 s)', { program: '/bin/hold' }],
  ])(
    'freezes nothing after %s of a command before, and runs those after',
    async (_, how, text, context) => {
      const { engine, hooks, freeze } = await setUp({ '/bin/hold': how });

      const run = hooks();
      const failure = run.around(freeze, signal);

      await expect(failure).rejects.toMatchObject({ code: 'backup.command-failed', context });
      await expect(failure).rejects.toThrow(text);
      expect(engine.ranInGuests).toEqual(['/bin/hold', '/bin/go', '/bin/tell']);
    },
  );

  it('promises what comes after before the first command, and keeps what was frozen if that fails', async () => {
    const { engine, claim, freeze } = await setUp();
    const asked: string[] = [];
    let paid = 0;
    const runner: GuestRunner = {
      runInGuest: async (...request) => {
        asked.push('run');
        return engine.runInGuest(...request);
      },
      oweGuest: async (...request) => {
        asked.push('owe');
        await engine.oweGuest(...request);
      },
      payGuest: async (...request) => {
        paid += 1;
        if (paid === 2) {
          throw new Fault('engine.fenced', 'somebody else has it');
        }
        return engine.payGuest(...request);
      },
    };
    const run = new GuestHooks(runner, claim, COMMANDS, new SilentLog());

    expect(await run.around(freeze, signal)).toBe('frozen');

    expect(asked).toEqual(['owe', 'run', 'run']);
    expect(await engine.payGuest(claim, signal)).toHaveLength(COMMANDS.after.length);
  });

  it('tells of programs in plain words, and not without end', async () => {
    const { engine, claim, freeze } = await setUp();
    const before = Array.from({ length: 8 }, () => [`/bin/\u001b[31m${'x'.repeat(190)}`]);
    const run = new GuestHooks(engine, claim, { ...COMMANDS, before }, new SilentLog());

    await run.around(freeze, signal);

    const [note = ''] = run.notes();
    expect(note).toContain('/bin/\ufffd[31mx');
    expect(note.length).toBeLessThanOrEqual(1000);
  });

  it('goes on as crash-consistent if the policy says so, with the command as the reason', async () => {
    const { engine, hooks, freeze } = await setUp({ '/bin/flush': 1 });
    const run = hooks({ onFailure: 'crash-consistent' });

    await run.around(freeze, signal);

    expect(run.hasFailed).toBe(true);
    expect(engine.ranInGuests).toContain('freeze');
    expect(run.explained({ consistencyReason: 'as asked' })).toEqual({
      consistencyReason: 'the command /bin/flush (exit code 1) did not succeed',
    });
  });

  it.each([
    ['a freeze that fails', new Fault('engine.refused', 'no')],
    ['a job that is cancelled', new DOMException('stop', 'AbortError')],
  ])('runs the commands after %s too', async (_, error) => {
    const { engine, hooks } = await setUp();
    const run = hooks();

    await expect(run.around(async () => Promise.reject(error), signal)).rejects.toBe(error);

    expect(engine.ranInGuests.slice(-2)).toEqual(['/bin/go', '/bin/tell']);
    const told = run.failed(error);
    expect(told instanceof FailedWith).toBe(error instanceof Fault);
    if (told instanceof FailedWith) {
      expect(told.fault).toBe(error);
      expect(told.result).toMatchObject({ kind: 'guest-commands', guestCommands: run.reports });
    }
  });

  it('first runs what an earlier backup owed, also if it has no commands itself', async () => {
    const { engine, claim, freeze } = await setUp();
    await engine.oweGuest(claim, [{ words: ['/bin/late'], timeLimitMs: 1 }], signal);
    const run = new GuestHooks(engine, claim, undefined, new SilentLog());

    await run.around(freeze, signal);

    expect(engine.ranInGuests).toEqual(['/bin/late', 'freeze']);
    expect(run.notes()).toEqual([
      'Commands in the guest: owed by an earlier backup /bin/late (exit code 0).',
    ]);
  });
});
