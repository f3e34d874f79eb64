// npm run soak -- scale [--tib N] [--folder PATH]
//
// The index of a vault with so much unique data: real code on synthetic ids. Footers are genuine, made when they are
// read; the time for making them is taken off. Needs about 1.5 GB of disk per TiB.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { IndexLab } from '../support/synthetic/index-lab.ts';
import { PACK_SLOTS } from '../support/synthetic/synthetic-store.ts';

type Report = Record<string, string>;

const { values } = parseArgs({
  options: {
    tib: { type: 'string', default: '10' },
    folder: { type: 'string', default: tmpdir() },
    // Each part is a process of its own, so that it shows its own memory.
    part: { type: 'string' },
  },
});
const packs = Math.round((Number(values.tib) * 2 ** 40) / (64 * 2 ** 20));

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

async function cold(folder: string): Promise<Report> {
  const startMs = performance.now();
  const lab = await IndexLab.open(folder, packs);
  await lab.load();
  await lab.close();
  const { madeMs, gets, lists } = lab.store;
  const cpu = process.cpuUsage();
  return {
    'cold rebuild': `${seconds(performance.now() - startMs - madeMs)}, and ${seconds(madeMs)} for making footers`,
    'cold rebuild, requests': `${String(gets)} GET, ${String(lists)} LIST`,
    'cold rebuild, processor': seconds((cpu.user + cpu.system) / 1000 - madeMs),
    'cold rebuild, memory at most': mb(process.resourceUsage().maxRSS * 1024),
  };
}

async function warm(folder: string): Promise<Report> {
  const before = process.memoryUsage().rss;
  const startMs = performance.now();
  const lab = await IndexLab.open(folder, packs);
  await lab.load();
  const tookMs = performance.now() - startMs;
  const after = process.memoryUsage().rss;
  await lab.close();
  return {
    'warm start': `${seconds(tookMs)}, ${String(lab.store.gets)} GET`,
    'warm start, memory before': mb(before),
    'warm start, memory': mb(after),
    'warm start, memory at most': mb(process.resourceUsage().maxRSS * 1024),
  };
}

async function lookups(folder: string): Promise<Report> {
  const lab = await IndexLab.open(folder, packs);
  await lab.load();
  const report: Report = {};
  const patterns = [
    ['new', 3_000_000],
    ['again', 3_000_000],
    ['random', 20_000],
  ] as const;
  for (const [pattern, count] of patterns) {
    const { perSecond, hits, lookups: done } = await lab.lookUp(pattern, count);
    const isRight = hits === (pattern === 'new' ? 0 : done);
    const right = isRight ? 'all right' : `WRONG: ${String(hits)} of ${String(done)}`;
    report[`lookups, ${pattern}`] = `${(perSecond / 1000).toFixed(0)} k/s on 2 threads, ${right}`;
  }
  report['lookups, memory at most'] = mb(process.resourceUsage().maxRSS * 1024);
  await lab.close();
  return report;
}

async function diskUse(folder: string): Promise<Report> {
  const [place = ''] = await readdir(folder);
  const runs = join(folder, place, 'runs');
  let bytes = 0;
  for (const name of await readdir(runs)) {
    bytes += (await stat(join(runs, name))).size;
  }
  return { 'files of runs': mb(bytes) };
}

const PARTS = { cold, warm, lookups, diskUse };

if (values.part === undefined) {
  const folder = await mkdtemp(join(values.folder, 'hyperkeep-scale-'));
  const chunks = ((packs * PACK_SLOTS) / 1e6).toFixed(1);
  console.log(`${values.tib} TiB: ${String(packs)} packs, ${chunks} M chunks`);
  try {
    for (const part of Object.keys(PARTS)) {
      const words = [import.meta.filename, '--tib', values.tib, '--folder', folder, '--part', part];
      const output = execFileSync(process.execPath, [...process.execArgv, ...words]).toString();
      console.table(JSON.parse(output));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
} else {
  console.log(JSON.stringify(await PARTS[values.part as keyof typeof PARTS](values.folder)));
}
