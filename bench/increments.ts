// The cost of an increment follows what changed, not the size of the disk.
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { seededBytes } from '../test/support/random/seeded-bytes.ts';
import { compiledRun, ROOT } from './compiled-run.ts';
import { benchEnvironment } from './contenders.ts';
import { median, measure, type Cost, type Program } from './measure.ts';
import { rows } from './guest-content.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const ROUNDS = 5;

/** Sizes that are compared; the data and what changes are the same. */
const DISKS = [
  { name: '2 GiB', sizeBytes: 2 * GIB },
  { name: '64 GiB', sizeBytes: 64 * GIB },
] as const;

/** 64 runs of 1 MiB all over the first 2 GiB: 64 MiB. */
const RUN_BYTES = MIB;
const OFFSETS = Array.from({ length: 64 }, (_, index) => index * 32 * MIB + 5 * MIB);

interface IncrementFigures {
  readonly name: string;
  readonly readBytes: number;
  readonly sentBytes: number;
  readonly requests: number;
  readonly wallS: number;
  readonly cpuS: number;
}

export interface IncrementReport {
  readonly disks: readonly IncrementFigures[];
  /** The largest share by which bytes read, bytes sent or requests differ. */
  readonly worstSpread: number;
  /** CPU time of the disk that takes more, divided by that of the other. */
  readonly cpuRatio: number;
}

interface Answer {
  readonly statistics: { readonly readBytes: number };
  readonly traffic: Readonly<Record<'puts' | 'gets' | 'lists' | 'removes' | 'sentBytes', number>>;
}

/** Backs up both disks, changes the same 64 MiB in both, and measures the increments in turn. */
export async function measureIncrements(
  under: string,
  { rounds = ROUNDS, root = ROOT }: { readonly rounds?: number; readonly root?: string } = {},
): Promise<IncrementReport> {
  const folder = await mkdtemp(join(under, 'hyperkeep-bench-'));
  try {
    const beds = [];
    for (const { name, sizeBytes } of DISKS) {
      const place = join(folder, name.replace(' ', '-'));
      const bed = { name, folder: place, image: `${place}.raw`, root };
      await prepare(bed, sizeBytes);
      beds.push(bed);
    }
    const measured = new Map<string, IncrementFigures[]>(DISKS.map(({ name }) => [name, []]));
    for (let round = 1; round <= rounds; round += 1) {
      for (const bed of beds) {
        measured.get(bed.name)?.push(await increment(bed, round));
      }
    }
    return judge([...measured].map(([name, figures]) => medians(name, figures)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Bed {
  readonly name: string;
  readonly folder: string;
  readonly image: string;
  /** The checkout that is measured. */
  readonly root: string;
}

async function prepare(bed: Bed, sizeBytes: number): Promise<void> {
  const { folder, image } = bed;
  await writeFile(image, '', { mode: 0o600 });
  await truncate(image, sizeBytes);
  await write(image, 0);
  await run(bed, ['create', folder]);
  await run(bed, ['back-up', folder, image, 'vm']);
}

/** New content at all places, half of it text and half of it incompressible. */
async function write(image: string, round: number): Promise<void> {
  await using handle = await open(image, 'r+');
  for (const [index, offset] of OFFSETS.entries()) {
    const seed = `round ${String(round)} run ${String(index)}`;
    const half = RUN_BYTES / 2;
    await handle.write(
      Buffer.concat([rows(seed, half), seededBytes(seed, half)]),
      0,
      RUN_BYTES,
      offset,
    );
  }
}

async function increment(bed: Bed, round: number): Promise<IncrementFigures> {
  await write(bed.image, round);
  const places = [OFFSETS.join(','), String(RUN_BYTES)];
  const [cost, text] = await run(bed, ['increment', bed.folder, bed.image, 'vm', ...places]);
  const { statistics, traffic } = JSON.parse(text) as Answer;
  return {
    name: bed.name,
    readBytes: statistics.readBytes,
    sentBytes: traffic.sentBytes,
    requests: traffic.puts + traffic.gets + traffic.lists + traffic.removes,
    wallS: cost.wallS,
    cpuS: cost.cpuS,
  };
}

async function run(bed: Bed, parameters: readonly string[]): Promise<[Cost, string]> {
  const answer = `${bed.folder}.answer`;
  await using output = await open(answer, 'w');
  const program: Program = {
    file: process.execPath,
    parameters: [
      '--disable-warning=ExperimentalWarning',
      compiledRun(dirname(bed.folder), bed.root),
      ...parameters,
    ],
    environment: benchEnvironment(`${bed.folder}.cache`, bed.root),
    output: output.fd,
  };
  return [await measure(program), await readFile(answer, 'utf8')];
}

function medians(name: string, figures: readonly IncrementFigures[]): IncrementFigures {
  const of = (pick: (one: IncrementFigures) => number): number => median(figures.map(pick));
  return {
    name,
    readBytes: of((one) => one.readBytes),
    sentBytes: of((one) => one.sentBytes),
    requests: of((one) => one.requests),
    wallS: of((one) => one.wallS),
    cpuS: of((one) => one.cpuS),
  };
}

function judge(disks: readonly IncrementFigures[]): IncrementReport {
  const ratio = (pick: (one: IncrementFigures) => number): number => {
    const values = disks.map(pick);
    return Math.max(...values) / Math.min(...values);
  };
  const spreads = [
    ratio(({ readBytes }) => readBytes),
    ratio(({ sentBytes }) => sentBytes),
    ratio(({ requests }) => requests),
  ];
  return { disks, worstSpread: Math.max(...spreads) - 1, cpuRatio: ratio(({ cpuS }) => cpuS) };
}
