import { ratio, type Measurement, type Step } from './comparison.ts';
import { FAST, RESTIC_OF_DEBIAN, RESTIC_OF_TODAY } from './contenders.ts';
import type { MachineBest } from './machine-best.ts';
import { median } from './measure.ts';
import { SERVICE } from './service.ts';

/** A figure that was set before anything was built. */
export interface Target {
  readonly name: string;
  readonly actual: number;
  /** For the first version that does the job, and for the one that is frozen. */
  readonly first?: number;
  readonly second: number;
  /** `least`: the actual figure must not be below the wanted one. */
  readonly bound: 'least' | 'most';
  readonly unit: 'x' | 'MiB';
}

type Wanted = Pick<Target, 'first' | 'second'>;

/** The targets were set against Debian's, and hold against the one of today as well. */
const RESTICS = [RESTIC_OF_DEBIAN, RESTIC_OF_TODAY];

/** Speed against the same step of others, bytes against restic's, memory. */
export function targets(measurements: readonly Measurement[], best: MachineBest): Target[] {
  const figures: Target[] = [];
  const compare = (target: Omit<Target, 'unit'>): void => {
    if (!Number.isNaN(target.actual)) {
      figures.push({ ...target, unit: 'x' });
    }
  };
  const faster = (step: Step, other: string, wanted: Wanted, ours = 'hyperkeep'): void => {
    const actual = ratio(measurements, step, [other, ours]);
    compare({ name: `${step}: ${ours} against ${other}`, actual, bound: 'least', ...wanted });
  };
  const smaller = (step: Step, what: string, wanted: Wanted, ours = 'hyperkeep'): void => {
    for (const restic of RESTICS) {
      const actual = ratio(measurements, step, [ours, restic], ({ stored }) => stored.bytes);
      const name = `stored for ${what}: ${ours} of ${restic}'s`;
      compare({ name, actual, bound: 'most', ...wanted });
    }
  };
  for (const ours of ['hyperkeep', SERVICE]) {
    faster('full', 'borg', { first: 3, second: 4 }, ours);
    for (const restic of RESTICS) {
      faster('full', restic, { first: 2.2, second: 2.6 }, ours);
      faster('unchanged', restic, { first: 5, second: 8 }, ours);
      faster('second guest', restic, { first: 3.5, second: 4.5 }, ours);
      faster('restore', restic, { first: 1.3, second: 1.8 }, ours);
    }
  }
  for (const restic of RESTICS) {
    faster('full', restic, { second: 3.2 }, FAST);
  }
  smaller('full', 'one guest', { first: 1, second: 0.98 });
  smaller('second guest', 'all three', { first: 0.84, second: 0.8 });
  smaller('second guest', 'all three', { second: 0.86 }, FAST);
  for (const name of ['hyperkeep', SERVICE]) {
    const ours = measurements.filter(({ program }) => program === name);
    if (ours.length === 0) {
      continue;
    }
    const full = median(ours.filter(({ step }) => step === 'full').map(({ wallS }) => wallS));
    const actual = best.wallS / full;
    const share = `full: ${name} of what the machine does at best`;
    compare({ name: share, actual, bound: 'least', second: 0.8 });
    const peak = Math.max(...ours.map(({ peakMemoryBytes }) => peakMemoryBytes)) / 2 ** 20;
    const wanted = { bound: 'most', first: 400, second: 350, unit: 'MiB' } as const;
    figures.push({ name: `peak memory: ${name}`, actual: peak, ...wanted });
  }
  return figures;
}

export function isMet({ actual, bound }: Target, wanted: number): boolean {
  return bound === 'least' ? actual >= wanted : actual <= wanted;
}
