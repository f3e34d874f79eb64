import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../scripts/setup/run.mjs';
import type { Contender } from './contenders.ts';
import type { GuestImages } from './guest-images.ts';
import { median, type Cost, type Stored } from './measure.ts';

export const STEPS = ['full', 'unchanged', 'day after', 'second guest', 'restore'] as const;
export type Step = (typeof STEPS)[number];

/** One step of one program, once. */
export interface Measurement extends Cost {
  readonly run: number;
  readonly program: string;
  readonly step: Step;
  /** What the target holds afterwards. */
  readonly stored: Stored;
}

export interface Summary extends Cost {
  readonly program: string;
  readonly step: Step;
  readonly stored: Stored;
}

interface Round {
  readonly run: number;
  readonly contenders: readonly Contender[];
  readonly images: GuestImages;
  readonly folder: string;
}

/**
 * Runs all steps of all programs once, step by step and each time in another order, so that other
 * load on the machine hits all of them.
 */
export async function runRound(round: Round): Promise<Measurement[]> {
  const { run, contenders, images, folder } = round;
  const results: Measurement[] = [];
  for (const contender of contenders) {
    await contender.prepare();
  }
  for (const [index, step] of STEPS.entries()) {
    const turn = (run + index) % contenders.length;
    for (const contender of [...contenders.slice(turn), ...contenders.slice(0, turn)]) {
      const cost = await perform(step, contender, { images, folder });
      const { name: program } = contender;
      results.push({ run, program, step, ...cost, stored: await contender.stored() });
      console.error(`  ${String(run)} ${step.padEnd(13)} ${program.padEnd(17)} ${said(cost)}`);
    }
  }
  for (const contender of contenders) {
    await contender.end?.();
  }
  return results;
}

function said({ wallS, cpuS, peakMemoryBytes }: Cost): string {
  const memory = (peakMemoryBytes / 2 ** 20).toFixed(0);
  return `${wallS.toFixed(2)} s, cpu ${cpuS.toFixed(2)} s, ${memory} MiB`;
}

async function perform(
  step: Step,
  contender: Contender,
  { images, folder }: { images: GuestImages; folder: string },
): Promise<Cost> {
  switch (step) {
    case 'full':
    case 'unchanged':
      return contender.backUp(images.guest, 'guest');
    case 'day after':
      return contender.backUp(images.day, 'guest');
    case 'second guest':
      return contender.backUp(images.second, 'second');
    case 'restore': {
      const place = join(folder, `restore-${contender.name}`);
      await mkdir(place);
      const file = join(place, 'disk.raw');
      const cost = await contender.restore(images.day, 'guest', file);
      // A restore counts only if it is equal to the disk.
      await mustRun('cmp', [images.day, file], { output: 'keep' });
      await rm(place, { recursive: true });
      return cost;
    }
  }
}

/**
 * Returns how much more of a figure one program takes for a step than another: the median of the
 * ratios within each run, not a ratio of medians, because the machine changes between runs. NaN if
 * they did not run together.
 */
export function ratio(
  measurements: readonly Measurement[],
  step: Step,
  [upper, lower]: readonly [string, string],
  figure: (one: Measurement) => number = ({ wallS }) => wallS,
): number {
  const ofStep = measurements.filter((one) => one.step === step);
  const shown = ofStep
    .filter(({ program }) => program === upper)
    .flatMap((above) => {
      const below = ofStep.find(({ run, program }) => run === above.run && program === lower);
      return below === undefined ? [] : [figure(above) / figure(below)];
    });
  return median(shown);
}

/** Returns medians over the runs. */
export function summarize(measurements: readonly Measurement[]): Summary[] {
  const programs = [...new Set(measurements.map(({ program }) => program))];
  return STEPS.flatMap((step) =>
    programs.map((program) => {
      const runs = measurements.filter((one) => one.step === step && one.program === program);
      const middle = (pick: (one: Measurement) => number): number => median(runs.map(pick));
      return {
        program,
        step,
        wallS: middle(({ wallS }) => wallS),
        cpuS: middle(({ cpuS }) => cpuS),
        peakMemoryBytes: Math.max(...runs.map(({ peakMemoryBytes }) => peakMemoryBytes)),
        stored: {
          bytes: middle((one) => one.stored.bytes),
          objects: middle((one) => one.stored.objects),
        },
      };
    }),
  );
}
