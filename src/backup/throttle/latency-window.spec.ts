import { LatencyWindow, percentile99 } from './latency-window.ts';

const BOUNDS = [1, 10, 100];

describe('percentile99', () => {
  it.each([
    ['nothing', [0, 0, 0, 0], undefined],
    ['quick writes only', [100, 0, 0, 0], 0.99],
    ['a hundredth that is slow', [990, 0, 10, 0], 1],
    ['more than a hundredth', [980, 0, 20, 0], 55],
    ['one write', [0, 1, 0, 0], 9.91],
    ['writes beyond the last bound', [98, 0, 0, 2], Infinity],
  ])('of %s', (_what, writes, expected) => {
    const p99 = percentile99(BOUNDS, writes);
    if (expected === undefined || p99 === undefined) {
      expect(p99).toBe(expected);
    } else {
      expect(p99).toBeCloseTo(expected);
    }
  });
});

describe('LatencyWindow', () => {
  function latencies(...writes: number[]) {
    return { boundsMs: BOUNDS, writes, isEmulated: false };
  }

  it('counts the writes of the last ten seconds only', () => {
    const window = new LatencyWindow();
    window.add(0, latencies(1000, 0, 7, 0));
    expect(window.p99Ms()).toBeUndefined();
    window.add(1000, latencies(1000, 0, 8, 0));
    expect(window.p99Ms()).toBeGreaterThan(10);
    for (let atMs = 2000; atMs <= 10_000; atMs += 1000) {
      window.add(atMs, latencies(1000 + atMs, 0, 8, 0));
    }
    // Ten thousand quick writes and one slow one.
    expect(window.p99Ms()).toBeLessThan(1);
    window.add(10_500, latencies(11_000, 0, 8, 5000));
    expect(window.p99Ms()).toBe(Infinity);
    window.add(20_500, latencies(11_001, 0, 8, 5000));
    expect(window.p99Ms()).toBeLessThan(1);
  });

  it('begins anew when it is told so, and when the guest was started anew or is away', () => {
    const window = new LatencyWindow();
    window.add(0, latencies(0, 0, 0, 0));
    window.add(1000, latencies(0, 0, 50, 0));
    expect(window.p99Ms()).toBeGreaterThan(10);
    window.startAnew();
    expect(window.p99Ms()).toBeUndefined();
    window.add(2000, latencies(60, 0, 50, 0));
    expect(window.p99Ms()).toBeLessThan(1);
    window.add(3000, latencies(0, 0, 60, 0));
    expect(window.p99Ms()).toBeUndefined();
    window.add(4000, latencies(0, 0, 61, 0));
    expect(window.p99Ms()).toBeGreaterThan(10);
    window.add(5000, undefined);
    expect(window.p99Ms()).toBeUndefined();
  });
});
