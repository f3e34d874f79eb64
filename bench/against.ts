// Measures two checkouts of Hyperkeep in turns, step by step: before and after a change.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureBuild } from '../scripts/setup/build.mjs';
import { ensureDependencies } from '../scripts/setup/dependencies.mjs';
import { run } from '../scripts/setup/run.mjs';
import { ROOT } from './compiled-run.ts';
import { runRound } from './comparison.ts';
import { hyperkeep } from './contenders.ts';
import type { GuestImages } from './guest-images.ts';
import { measureIncrements } from './increments.ts';
import { median } from './measure.ts';
import { inScratchFolder } from './scratch.ts';
import { hyperkeepService } from './service.ts';

export interface Against {
  readonly images: GuestImages;
  /** Root of the other checkout. */
  readonly other: string;
  /** Three or more: fewer have no meaningful spread. */
  readonly pairs: number;
  /** Where the vaults are written. */
  readonly under: string;
}

type Side = 'this' | 'other';

interface Sample {
  readonly step: string;
  readonly side: Side;
  readonly pair: number;
  readonly wallS: number;
  readonly cpuS: number;
  readonly peakMemoryBytes?: number;
  /** What the vault holds afterwards. */
  readonly storedBytes?: number;
}

/** Figures to print; the first two decide. */
const FIGURES = [
  { figure: 'wallS', name: 's', unit: 1, digits: 2 },
  { figure: 'cpuS', name: 'cpu s', unit: 1, digits: 2 },
  { figure: 'peakMemoryBytes', name: 'peak MiB', unit: 2 ** 20, digits: 0 },
  { figure: 'storedBytes', name: 'stored MB', unit: 1e6, digits: 1 },
] as const;
type Figure = (typeof FIGURES)[number]['figure'];
const JUDGED: readonly Figure[] = ['wallS', 'cpuS'];

/** Runs the pairs and prints them. @returns true if a step of this checkout is slower */
export async function compareCheckouts(against: Against): Promise<boolean> {
  const roots: Readonly<Record<Side, string>> = { this: ROOT, other: against.other };
  await ensureDependencies(against.other);
  await ensureBuild(against.other);
  const samples: Sample[] = [];
  for (let pair = 1; pair <= against.pairs; pair += 1) {
    samples.push(...(await measurePair(against, roots, pair)));
  }
  console.log(`\nthis:  ${await describe(roots.this)}\nother: ${await describe(roots.other)}\n`);
  return printSteps(samples);
}

async function describe(root: string): Promise<string> {
  const { exitCode, text } = await run('git', ['-C', root, 'describe', '--always', '--dirty'], {
    output: 'keep',
  });
  return `${root}${exitCode === 0 ? ` ${text.trim()}` : ''}`;
}

/**
 * Measures all steps of both, as commands and in a service, then increments; the first one changes.
 */
async function measurePair(
  { images, under }: Against,
  roots: Readonly<Record<Side, string>>,
  pair: number,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const sides: readonly Side[] = pair % 2 === 0 ? ['this', 'other'] : ['other', 'this'];
  for (const [kind, make] of [
    ['command', hyperkeep],
    ['service', hyperkeepService],
  ] as const) {
    await inScratchFolder(under, async (scratch) => {
      const files = join(scratch, 'files');
      await mkdir(files);
      // A round itself lets another one begin in each pair.
      const contenders = (['this', 'other'] as const).map((side) =>
        make(join(scratch, side), { name: side, root: roots[side] }),
      );
      for (const one of await runRound({ run: pair, contenders, images, folder: files })) {
        const { wallS, cpuS, peakMemoryBytes, stored } = one;
        const side = one.program as Side;
        const step = `${one.step}, ${kind}`;
        const storedBytes = stored.bytes;
        samples.push({ step, side, pair, wallS, cpuS, peakMemoryBytes, storedBytes });
      }
    });
  }
  for (const side of sides) {
    const { disks } = await measureIncrements(under, { rounds: 1, root: roots[side] });
    for (const { name, wallS, cpuS } of disks) {
      samples.push({ step: `64 MiB of ${name}, command`, side, pair, wallS, cpuS });
    }
  }
  return samples;
}

/** Returns true if a step is slower, by the clock or in processor time. */
function printSteps(samples: readonly Sample[]): boolean {
  const heads = ['this', 'other', 'this/other', 'least', 'most'];
  const line = (name: string, cells: readonly string[]): string =>
    `${name.padEnd(34)}${cells.map((cell) => cell.padStart(11)).join('')}`;
  console.log(line('medians, and each pair by itself', heads));
  let slower = 0;
  for (const step of new Set(samples.map((one) => one.step))) {
    for (const { figure, name, unit, digits } of FIGURES) {
      const pairs = pairsOf(samples, step, figure);
      if (pairs.length > 0) {
        const ratios = pairs.map(([mine, theirs]) => mine / theirs);
        const isSlower = JUDGED.includes(figure) && isBeyondSpread(ratios);
        slower += isSlower ? 1 : 0;
        const [mine, theirs] = [0, 1].map((side) => median(pairs.map((pair) => pair[side] ?? NaN)));
        const cells = [
          ...[mine, theirs].map((value) => ((value ?? NaN) / unit).toFixed(digits)),
          ...[median(ratios), Math.min(...ratios), Math.max(...ratios)].map((x) => x.toFixed(3)),
        ];
        console.log(`${line(`${step}, ${name}`, cells)}${isSlower ? '  SLOWER' : ''}`);
      }
    }
  }
  console.log(`\n${slower === 0 ? 'No step is slower' : `${String(slower)} figures are slower`}`);
  return slower > 0;
}

/** Returns the figures of both sides in each pair: this checkout, the other one. */
function pairsOf(samples: readonly Sample[], step: string, figure: Figure): [number, number][] {
  const ofStep = samples.filter((one) => one.step === step);
  return ofStep.flatMap((mine) => {
    const theirs = ofStep.find(({ pair, side }) => pair === mine.pair && side === 'other');
    const [above, below] = [mine[figure], theirs?.[figure]];
    return mine.side === 'this' && above !== undefined && below !== undefined
      ? [[above, below]]
      : [];
  });
}

/**
 * Whether the median of the pairs is further above 1 than they differ from each other. For two
 * equal programs, five pairs say so for 3 figures in 1,000 (a normal distribution, tried 400,000
 * times).
 */
function isBeyondSpread(ratios: readonly number[]): boolean {
  return median(ratios) - 1 > Math.max(...ratios) - Math.min(...ratios);
}
