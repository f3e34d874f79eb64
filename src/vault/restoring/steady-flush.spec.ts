import type { DiskWriter } from '../../disk/disk-writer.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SteadyFlush } from './steady-flush.ts';

const MIB = 1024 * 1024;
const { signal } = new AbortController();

/** A disk whose flushes end when the test says so. */
function disk(): { writer: DiskWriter; flushes: PromiseWithResolvers<undefined>[] } {
  const writer = new MemoryDisk(4096).writer();
  const flushes: PromiseWithResolvers<undefined>[] = [];
  const flush = async (): Promise<void> => {
    const end = Promise.withResolvers<undefined>();
    flushes.push(end);
    return end.promise;
  };
  return { writer: Object.assign(writer, { flush }), flushes };
}

describe('a disk that is made durable while it is filled', () => {
  it('is flushed once at a time, and once more at the end', async () => {
    const { writer, flushes } = disk();
    const steady = new SteadyFlush(writer, signal);

    steady.written(10 * MIB);
    expect(flushes).toHaveLength(0);
    steady.written(60 * MIB);
    steady.written(100 * MIB);
    expect(flushes).toHaveLength(1);
    flushes[0]?.resolve(undefined);
    await steady.settle();
    steady.written(1);
    expect(flushes).toHaveLength(2);
    flushes[1]?.resolve(undefined);
    const end = steady.end();
    await steady.settle();
    await Promise.resolve();
    expect(flushes).toHaveLength(3);
    flushes[2]?.resolve(undefined);
    await end;
  });

  it('is not whole when one flush failed, whatever a later one says', async () => {
    const { writer, flushes } = disk();
    const steady = new SteadyFlush(writer, signal);
    const error = new Error('no room');

    steady.written(100 * MIB);
    flushes[0]?.reject(error);
    await steady.settle();

    expect(() => {
      steady.written(1);
    }).toThrow(error);
    await expect(steady.end()).rejects.toBe(error);
    expect(flushes).toHaveLength(1);
  });
});
