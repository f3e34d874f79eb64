import type { WriteLatencies } from '../../engines/engine.ts';

const WINDOW_MS = 10_000;

interface Sample {
  readonly atMs: number;
  readonly latencies: WriteLatencies;
}

/** How long the guest's writes of the last ten seconds took. */
export class LatencyWindow {
  #samples: Sample[] = [];

  /** @param latencies undefined if the guest could not be asked: it writes nothing then */
  add(atMs: number, latencies: WriteLatencies | undefined): void {
    const last = this.#samples.at(-1);
    if (latencies === undefined) {
      this.#samples = [];
      return;
    }
    if (last !== undefined && !continues(last.latencies, latencies)) {
      this.#samples = [];
    }
    this.#samples.push({ atMs, latencies });
    // The oldest that stays is where counting begins.
    while ((this.#samples[1]?.atMs ?? atMs) <= atMs - WINDOW_MS) {
      this.#samples.shift();
    }
  }

  /** Forgets what was written until now. */
  startAnew(): void {
    this.#samples = this.#samples.slice(-1);
  }

  /** Returns the time within which 99 of 100 writes ended; undefined if there was no write. */
  p99Ms(): number | undefined {
    const [first, last] = [this.#samples[0]?.latencies, this.#samples.at(-1)?.latencies];
    if (first === undefined || last === undefined) {
      return undefined;
    }
    const writes = last.writes.map((count, index) => count - (first.writes[index] ?? 0));
    return percentile99(last.boundsMs, writes);
  }
}

/** Returns p99, taking writes of one class as evenly spread; in the last class it is infinite. */
export function percentile99(
  boundsMs: readonly number[],
  writes: readonly number[],
): number | undefined {
  const total = writes.reduce((sum, count) => sum + count, 0);
  if (total === 0) {
    return undefined;
  }
  const wanted = total * 0.99;
  let before = 0;
  for (const [index, upperMs] of boundsMs.entries()) {
    const count = writes[index] ?? 0;
    if (count > 0 && before + count >= wanted) {
      const lowerMs = boundsMs[index - 1] ?? 0;
      return lowerMs + ((wanted - before) / count) * (upperMs - lowerMs);
    }
    before += count;
  }
  return Infinity;
}

/** Whether `now` counts on from `before`: not if the guest was started in between. */
function continues(before: WriteLatencies, now: WriteLatencies): boolean {
  return (
    before.boundsMs.length === now.boundsMs.length &&
    before.writes.every((count, index) => count <= (now.writes[index] ?? 0))
  );
}
