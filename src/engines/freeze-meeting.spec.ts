import { setImmediate } from 'node:timers/promises';
import { FreezeMeeting } from './freeze-meeting.ts';

const { signal } = new AbortController();
const RULES = { withinMs: 60_000, late: 'crash-consistent' as const };

/** What became of each wait so far. */
function told(waits: readonly Promise<void>[]): Promise<string[]> {
  return Promise.all(
    waits.map(async (wait) =>
      Promise.race([
        wait.then(
          () => 'met',
          (error: unknown) => (Error.isError(error) ? error.message : ''),
        ),
        setImmediate('waits'),
      ]),
    ),
  );
}

describe('FreezeMeeting', () => {
  it('lets nobody go on before all have come, at each of its three places', async () => {
    const meeting = new FreezeMeeting(2, RULES);
    for (const come of [
      () => meeting.whenReady(signal),
      () => meeting.whenPrepared(signal),
      () => meeting.whenFrozen('web', undefined, signal),
    ]) {
      const first = come();
      expect(await told([first])).toEqual(['waits']);
      expect(await told([first, come()])).toEqual(['met', 'met']);
    }
    expect(meeting.leftMs).toBeGreaterThan(0);
  });

  it('goes on without a guest that does not come in time', async () => {
    const meeting = new FreezeMeeting(2, { ...RULES, withinMs: 1 });
    await Promise.all([meeting.whenPrepared(signal), meeting.whenPrepared(signal)]);

    await meeting.whenFrozen('web', undefined, signal);

    expect(meeting.leftMs).toBe(0);
    await meeting.whenFrozen('db', 'it hangs', signal);
  });

  it('ends for all when a guest is late that must not be, or when one fails', async () => {
    const strict = new FreezeMeeting(2, { ...RULES, late: 'fail' });
    const [web, db] = [
      strict.whenFrozen('web', undefined, signal),
      strict.whenFrozen('db', 'it hangs', signal),
    ];

    await expect(db).rejects.toMatchObject({ code: 'backup.group-late' });
    await expect(web).rejects.toThrow(
      'The file systems of db were not frozen in 60000 ms: it hangs',
    );

    const failing = new FreezeMeeting(2, RULES);
    const waits = [failing.whenReady(signal), failing.whenPrepared(signal)];
    failing.fail(new Error('no room'));
    expect(await told([...waits, failing.whenFrozen('web', undefined, signal)])).toEqual([
      ...['no room', 'no room', 'no room'],
    ]);
  });

  it('waits no longer than its job', async () => {
    const abort = new AbortController();
    const meeting = new FreezeMeeting(2, RULES);
    const waits = [
      meeting.whenReady(abort.signal),
      meeting.whenPrepared(abort.signal),
      meeting.whenFrozen('web', undefined, abort.signal),
    ];

    abort.abort(new Error('cancelled'));

    expect(await told(waits)).toEqual(['cancelled', 'cancelled', 'cancelled']);
  });
});
