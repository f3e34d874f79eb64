// What the compression level that follows the store is worth: a full backup over links of given
// rates.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { compiledRun } from './compiled-run.ts';
import { benchEnvironment } from './contenders.ts';
import { measure, stored } from './measure.ts';

const RATES_MB = [30, 100] as const;
/** 0: the level follows the store. */
const LEVELS = [2, 3, 0] as const;

export interface LinkFigures {
  readonly megabytesPerSecond: number;
  readonly level: string;
  readonly wallS: number;
  readonly cpuS: number;
  readonly storedBytes: number;
}

/** One backup for each rate and level, in turn. */
export async function measureLinks(under: string, image: string): Promise<LinkFigures[]> {
  const figures: LinkFigures[] = [];
  for (const megabytesPerSecond of RATES_MB) {
    for (const level of LEVELS) {
      const folder = await mkdtemp(join(under, 'hyperkeep-bench-'));
      try {
        const vault = join(folder, 'vault');
        await mkdir(vault);
        const environment = {
          HOME: folder,
          ...benchEnvironment(join(folder, 'cache')),
          BENCH_LEVEL: String(level),
          BENCH_LINK: String(megabytesPerSecond * 1e6),
        };
        const run = async (...parameters: string[]) =>
          measure({
            file: process.execPath,
            parameters: [compiledRun(folder), ...parameters],
            environment,
          });
        await run('create', vault);
        const { wallS, cpuS } = await run('back-up', vault, image, 'vm');
        const { bytes } = await stored(vault);
        const name = level === 0 ? 'follows the store' : String(level);
        figures.push({ megabytesPerSecond, level: name, wallS, cpuS, storedBytes: bytes });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }
  }
  return figures;
}
