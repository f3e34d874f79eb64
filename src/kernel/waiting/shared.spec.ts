import { Shared } from './shared.ts';

const { signal } = new AbortController();

/** Work that ends when and as the test says. */
function work() {
  const done = Promise.withResolvers<string>();
  const runs: AbortSignal[] = [];
  return {
    runs,
    done,
    run: async (stopped: AbortSignal): Promise<string> => {
      runs.push(stopped);
      stopped.addEventListener('abort', () => {
        done.reject(stopped.reason as Error);
      });
      return done.promise;
    },
  };
}

describe('Shared', () => {
  it('does once what several ask for at once, and anew what is asked for later', async () => {
    const shared = new Shared<string, string>();
    const first = work();
    const both = [shared.do('a', signal, first.run), shared.do('a', signal, first.run)];
    const other = work();
    const apart = shared.do('b', signal, other.run);
    first.done.resolve('one');
    other.done.resolve('two');

    expect(await Promise.all([...both, apart])).toEqual(['one', 'one', 'two']);
    expect(first.runs).toHaveLength(1);
    expect(await shared.do('a', signal, async () => 'again')).toBe('again');
  });

  it('goes on for the others when one leaves, also the one who began it', async () => {
    const shared = new Shared<string, string>();
    const leaver = new AbortController();
    const { run, runs, done } = work();
    const left = shared.do('a', leaver.signal, run);
    const stayed = shared.do('a', signal, run);

    leaver.abort();
    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    expect(runs[0]?.aborted).toBe(false);
    done.resolve('one');

    expect(await stayed).toBe('one');
    expect(runs).toHaveLength(1);
  });

  it('stops work that nobody waits for, and begins anew for the next', async () => {
    const shared = new Shared<string, string>();
    const leaver = new AbortController();
    const { run, runs } = work();
    const left = shared.do('a', leaver.signal, run);
    leaver.abort();

    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    expect(runs[0]?.aborted).toBe(true);
    expect(await shared.do('a', signal, async () => 'new')).toBe('new');
  });

  it('tells everybody who waits about a failure, and tries again for the next', async () => {
    const shared = new Shared<string, string>();
    const { run, done } = work();
    const both = [shared.do('a', signal, run), shared.do('a', signal, run)];
    done.reject(new Error('no'));

    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
    ]);
    expect(await shared.do('a', signal, async () => 'yes')).toBe('yes');
  });

  it('begins nothing for who has left already', async () => {
    const { run, runs } = work();

    await expect(
      new Shared<string, string>().do('a', AbortSignal.abort(), run),
    ).rejects.toMatchObject({ name: 'AbortError' });
    expect(runs).toEqual([]);
  });
});
