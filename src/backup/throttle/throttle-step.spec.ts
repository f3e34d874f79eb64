import { MiB } from '../../kernel/text/bytes.ts';
import { nextThrottling, RELEASED, type Throttling } from './throttle-step.ts';

/** Looks once a second; the backup reads as fast as it may. @returns the rate after each look */
function rates(
  seconds: readonly boolean[],
  { fullSpeed = 400 * MiB, start = RELEASED }: { fullSpeed?: number; start?: Throttling } = {},
): (number | undefined)[] {
  let now = start;
  return seconds.map((isSlow, second) => {
    const readBytesPerSecond = Math.min(fullSpeed, now.bytesPerSecond ?? Infinity);
    now = nextThrottling(now, { nowMs: second * 1000, isSlow, readBytesPerSecond });
    return now.bytesPerSecond;
  });
}

const slow = (seconds: number): boolean[] => Array.from({ length: seconds }, () => true);
const quick = (seconds: number): boolean[] => Array.from({ length: seconds }, () => false);

describe('nextThrottling', () => {
  it('slows nothing down while writes are quick', () => {
    expect(new Set(rates(quick(100)))).toEqual(new Set([undefined]));
  });

  it('halves the rate at which we read, gives each step two seconds, and ends at 4 MiB/s', () => {
    expect(rates(slow(4)).map((rate) => (rate ?? 0) / MiB)).toEqual([200, 200, 100, 100]);
    expect(rates(slow(60)).at(-1)).toBe(4 * MiB);
    expect(rates(slow(1), { fullSpeed: 10 })).toEqual([4 * MiB]);
  });

  it('raises by a quarter each second after 30 s without slow writes', () => {
    const all = rates([...slow(1), ...quick(40)]);
    expect(all.slice(0, 30)).toEqual(Array.from({ length: 30 }, () => 200 * MiB));
    expect(all.slice(30, 33)).toEqual([250 * MiB, 312.5 * MiB, 390.625 * MiB]);
  });

  it('waits 30 s again after a slow write', () => {
    const all = rates([...slow(1), ...quick(20), true, ...quick(31)]);
    expect(all[21]).toBe(100 * MiB);
    expect(all[50]).toBe(100 * MiB);
    expect(all[51]).toBe(125 * MiB);
  });

  it('releases everything within 60 s, also from the lowest rate', () => {
    const all = rates([...slow(60), ...quick(60)]);
    expect(all[59]).toBe(4 * MiB);
    expect(all[118]).toBeDefined();
    expect(all[119]).toBeUndefined();
  });
});
