import { setImmediate } from 'node:timers/promises';
import { Semaphore } from './semaphore.ts';

const { signal } = new AbortController();

describe('Semaphore', () => {
  it('lets no more through than it has room for, the others in their order', async () => {
    const semaphore = new Semaphore(1);
    const through: string[] = [];
    const all = ['a', 'b', 'c'].map(async (name) => {
      await semaphore.take(signal);
      through.push(name);
    });
    await setImmediate();
    expect(through).toEqual(['a']);

    semaphore.release();
    await setImmediate();
    expect(through).toEqual(['a', 'b']);

    semaphore.release();
    await Promise.all(all);
    expect(through).toEqual(['a', 'b', 'c']);
  });

  it('makes room for the next work also after one that failed', async () => {
    const semaphore = new Semaphore(1);
    const log: string[] = [];
    const first = semaphore.run(async () => {
      log.push('first');
      await setImmediate();
      log.push('first fails');
      throw new Error('failed');
    }, signal);
    const second = semaphore.run(async () => {
      log.push('second');
      return 2;
    });

    await expect(first).rejects.toThrow('failed');
    expect(await second).toBe(2);
    expect(log).toEqual(['first', 'first fails', 'second']);
  });

  it('passes over who left while waiting, and refuses who has left already', async () => {
    const semaphore = new Semaphore(1);
    const leaver = new AbortController();
    await semaphore.take(signal);
    const left = semaphore.take(leaver.signal);
    const stayed = semaphore.take(signal);
    leaver.abort();
    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    await expect(semaphore.take(leaver.signal)).rejects.toMatchObject({ name: 'AbortError' });

    semaphore.release();
    await stayed;
    semaphore.release();
    await semaphore.take(signal);
  });
});
