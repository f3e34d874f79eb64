import { setImmediate } from 'node:timers/promises';
import { mapAtOnce } from './map-at-once.ts';

/** Work that stands still until it is told how it ends. */
function work() {
  const begun: number[] = [];
  const ends = new Map<number, PromiseWithResolvers<string>>();
  return {
    begun,
    ends,
    run: async (item: number): Promise<string> => {
      const end = Promise.withResolvers<string>();
      begun.push(item);
      ends.set(item, end);
      return end.promise;
    },
  };
}

describe('mapAtOnce', () => {
  it('returns the results in the order of the items, whichever ends first', async () => {
    const { begun, ends, run } = work();
    const all = mapAtOnce([1, 2, 3], 3, run);
    await setImmediate();
    expect(begun).toEqual([1, 2, 3]);

    for (const item of [3, 1, 2]) {
      ends.get(item)?.resolve(String(item));
      await setImmediate();
    }
    expect(await all).toEqual(['1', '2', '3']);
    expect(await mapAtOnce([], 3, run)).toEqual([]);
  });

  it('runs no more than the limit, and the next as soon as there is room', async () => {
    const { begun, ends, run } = work();
    const all = mapAtOnce([1, 2, 3, 4], 2, run);
    await setImmediate();
    expect(begun).toEqual([1, 2]);

    ends.get(2)?.resolve('two');
    await setImmediate();
    expect(begun).toEqual([1, 2, 3]);

    for (const item of [1, 3]) {
      ends.get(item)?.resolve('');
      await setImmediate();
    }
    ends.get(4)?.resolve('four');
    expect(await all).toEqual(['', 'two', '', 'four']);
  });

  it('begins no more after a failure, and throws it once the others under way have ended', async () => {
    const { begun, ends, run } = work();
    const told: unknown[] = [];
    const all = mapAtOnce([1, 2, 3], 2, run).catch((error: unknown) => {
      told.push(error);
    });
    await setImmediate();
    const failure = new Error('no');

    ends.get(1)?.reject(failure);
    await setImmediate();
    expect({ begun, told }).toEqual({ begun: [1, 2], told: [] });

    ends.get(2)?.resolve('two');
    await all;
    expect(begun).toEqual([1, 2]);
    expect(told).toEqual([failure]);
  });

  it('throws the first of several failures', async () => {
    const { ends, run } = work();
    const all = mapAtOnce([1, 2], 2, run);
    await setImmediate();
    ends.get(2)?.reject(new Error('second item'));
    await setImmediate();
    ends.get(1)?.reject(new Error('first item'));

    await expect(all).rejects.toThrow('second item');
  });
});
