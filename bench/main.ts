// npm run bench -- [--quick] [--runs N] [--json] [--only NAME,...] [--profile FOLDER]
//
// Hyperkeep beside restic and borg on the same disks in one run, and the targets set for it.
import { rmSync } from 'node:fs';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runRound, summarize, type Measurement } from './comparison.ts';
import { borg, FAST, hyperkeep, restic, warm, type Contender } from './contenders.ts';
import { guestImages } from './guest-images.ts';
import { measureIncrements } from './increments.ts';
import { measureLinks } from './links.ts';
import { machineBest } from './machine-best.ts';
import { machineFacts, printReport } from './report.ts';
import { hyperkeepService, SERVICE } from './service.ts';
import { targets } from './targets.ts';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: `hyperkeep,${SERVICE},${FAST},restic,borg,increments,links` },
    profile: { type: 'string' },
    /** Where the targets are: the disk that is measured. */
    folder: { type: 'string', default: tmpdir() },
  },
});

const runs = Number(options.runs);
if (!Number.isInteger(runs) || runs < 1) {
  throw new Error('--runs wants a number from 1 on');
}
const only = options.only.split(',');
const profileFolder = options.profile === undefined ? undefined : resolve(options.profile);

function contendersIn(folder: string): Contender[] {
  return [
    hyperkeep(join(folder, 'hyperkeep'), profileFolder),
    hyperkeepService(join(folder, SERVICE)),
    hyperkeep(join(folder, FAST), profileFolder, 1),
    restic(join(folder, 'restic')),
    borg(join(folder, 'borg')),
  ].filter(({ name }) => only.includes(name));
}

const images = await guestImages(options.quick);
for (const image of Object.values(images) as string[]) {
  await warm(image);
}

/** What has to go when somebody stops the bench in the middle (run.mjs makes signals exits). */
let current: string | undefined;
process.once('exit', () => {
  if (current !== undefined) {
    rmSync(current, { recursive: true, force: true, maxRetries: 3 });
  }
});

const measurements: Measurement[] = [];
for (let run = 1; run <= runs; run += 1) {
  const folder = await mkdtemp(join(options.folder, 'hyperkeep-bench-'));
  current = folder;
  try {
    const files = join(folder, 'files');
    await mkdir(files);
    const contenders = contendersIn(folder);
    measurements.push(...(await runRound({ run, contenders, images, folder: files })));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const summaries = summarize(measurements);
const best = {
  'zstd 2': await machineBest(images.guest, 2),
  'zstd 3': await machineBest(images.guest, 3),
};
const report = {
  machine: machineFacts(),
  images: options.quick ? 'quick' : 'full',
  runs,
  summaries,
  best,
  increments: only.includes('increments') ? await measureIncrements(options.folder) : undefined,
  links: only.includes('links') ? await measureLinks(options.folder, images.guest) : undefined,
  targets: targets(measurements, best['zstd 2']),
};
if (options.json) {
  console.log(JSON.stringify({ ...report, measurements }, undefined, 2));
} else {
  printReport(report);
}
