import type { Step, Summary } from './comparison.ts';

/** A figure that was set before anything was built. */
export interface Target {
  readonly name: string;
  readonly actual: number;
  readonly wanted: number;
  /** `least`: the actual figure must not be below the wanted one. */
  readonly bound: 'least' | 'most';
  readonly unit: 'x' | 'MiB';
}

/** The first targets: speed against the same step of others, bytes against restic's, memory. */
export function targets(summaries: readonly Summary[]): Target[] {
  const find = (program: string, step: Step): Summary | undefined =>
    summaries.find((one) => one.program === program && one.step === step);
  const figures: Target[] = [];
  const faster = (step: Step, other: string, wanted: number): void => {
    const ours = find('hyperkeep', step);
    const theirs = find(other, step);
    if (ours && theirs) {
      const name = `${step}: times as fast as ${other}`;
      figures.push({ name, actual: theirs.wallS / ours.wallS, wanted, bound: 'least', unit: 'x' });
    }
  };
  const smaller = (step: Step, what: string, wanted: number): void => {
    const ours = find('hyperkeep', step);
    const theirs = find('restic', step);
    if (ours && theirs) {
      const actual = ours.stored.bytes / theirs.stored.bytes;
      figures.push({
        name: `${what}: bytes of restic's`,
        actual,
        wanted,
        bound: 'most',
        unit: 'x',
      });
    }
  };
  faster('full', 'restic', 2.2);
  faster('full', 'borg', 3);
  faster('unchanged', 'restic', 5);
  faster('second guest', 'restic', 3.5);
  faster('restore', 'restic', 1.3);
  smaller('full', 'stored for one guest', 1);
  smaller('second guest', 'stored for all three', 0.84);
  const peaks = summaries
    .filter(({ program }) => program === 'hyperkeep')
    .map(({ peakMemoryBytes }) => peakMemoryBytes);
  if (peaks.length > 0) {
    const actual = Math.max(...peaks) / 2 ** 20;
    figures.push({ name: 'peak memory', actual, wanted: 400, bound: 'most', unit: 'MiB' });
  }
  return figures;
}

export function isMet({ actual, wanted, bound }: Target): boolean {
  return bound === 'least' ? actual >= wanted : actual <= wanted;
}
