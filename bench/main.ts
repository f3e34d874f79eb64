// npm run bench -- [--quick] [--runs N] [--json] [--only NAME,...] [--profile FOLDER]
//
// Hyperkeep beside restic and borg on the same disks in one run, and the targets set for it.
//
// npm run bench -- --against CHECKOUT [--pairs N] [--quick]
//
// This checkout of Hyperkeep beside another one, in turns: before and after a change.
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compareCheckouts } from './against.ts';
import { runRound, summarize, type Measurement } from './comparison.ts';
import {
  borg,
  FAST,
  hyperkeep,
  RESTIC_OF_DEBIAN,
  RESTIC_OF_TODAY,
  resticOfDebian,
  resticOfToday,
  warm,
  type Contender,
} from './contenders.ts';
import { guestImages, type GuestImages } from './guest-images.ts';
import { measureIncrements } from './increments.ts';
import { measureLinks } from './links.ts';
import { machineBest } from './machine-best.ts';
import { machineFacts, printReport } from './report.ts';
import { inScratchFolder } from './scratch.ts';
import { hyperkeepService, SERVICE } from './service.ts';
import { targets } from './targets.ts';

const EVERYTHING = [
  ...['hyperkeep', SERVICE, FAST, RESTIC_OF_DEBIAN, RESTIC_OF_TODAY, 'borg'],
  ...['increments', 'links'],
];

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: EVERYTHING.join(',') },
    profile: { type: 'string' },
    against: { type: 'string' },
    pairs: { type: 'string', default: '5' },
    /** Where the targets are: the disk that is measured. */
    folder: { type: 'string', default: tmpdir() },
  },
});

function count(name: 'runs' | 'pairs', least: number): number {
  const value = Number(options[name]);
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`--${name} wants a number from ${String(least)} on`);
  }
  return value;
}

const only = options.only.split(',');
const profileFolder = options.profile === undefined ? undefined : resolve(options.profile);

function contendersIn(folder: string): Contender[] {
  return [
    hyperkeep(join(folder, 'hyperkeep'), { profileFolder }),
    hyperkeepService(join(folder, SERVICE)),
    hyperkeep(join(folder, FAST), { name: FAST, profileFolder, level: 1 }),
    resticOfDebian(join(folder, RESTIC_OF_DEBIAN)),
    resticOfToday(join(folder, RESTIC_OF_TODAY)),
    borg(join(folder, 'borg')),
  ]
    .filter((one) => one !== undefined)
    .filter(({ name }) => only.includes(name));
}

async function compareProducts(images: GuestImages): Promise<void> {
  const runs = count('runs', 1);
  const measurements: Measurement[] = [];
  for (let run = 1; run <= runs; run += 1) {
    await inScratchFolder(options.folder, async (folder) => {
      const files = join(folder, 'files');
      await mkdir(files);
      const contenders = contendersIn(folder);
      measurements.push(...(await runRound({ run, contenders, images, folder: files })));
    });
  }
  const best = {
    'zstd 2': await machineBest(images.guest, 2),
    'zstd 3': await machineBest(images.guest, 3),
  };
  const report = {
    machine: await machineFacts(),
    images: options.quick ? 'quick' : 'full',
    runs,
    summaries: summarize(measurements),
    measurements,
    best,
    increments: only.includes('increments') ? await measureIncrements(options.folder) : undefined,
    links: only.includes('links') ? await measureLinks(options.folder, images.guest) : undefined,
    targets: targets(measurements, best['zstd 2']),
  };
  if (options.json) {
    console.log(JSON.stringify(report, undefined, 2));
  } else {
    printReport(report);
  }
}

const images = await guestImages(options.quick);
for (const image of Object.values(images) as string[]) {
  await warm(image);
}
if (options.against === undefined) {
  await compareProducts(images);
} else {
  const isSlower = await compareCheckouts({
    images,
    other: resolve(options.against),
    pairs: count('pairs', 3),
    under: options.folder,
  });
  process.exitCode = isSlower ? 1 : 0;
}
