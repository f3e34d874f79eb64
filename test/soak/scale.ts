// npm run soak -- scale [--tib N] [--live half|all] [--folder PATH] [--parts make,cold,...]
//
// A vault with so much unique data: real code on synthetic content. Footers are genuine, made when
// they are read; the time for making them is taken off. Maps and points are genuine and lie in a
// folder. Everything runs compiled, as it is installed. Needs about 2 GB of disk per TiB.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { planPrune } from '../../src/vault/collect/plans/prune-plan.ts';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { LEAF_BYTES } from '../../src/vault/maps/map-node.ts';
import { MeteredObjectStore } from '../../src/vault/object-stores/metered.ts';
import type { OpenOptions } from '../../src/vault/access/vault-options.ts';
import { Vault } from '../../src/vault/vault.ts';
import { IndexLab, type IndexPlace } from '../support/synthetic/index-lab.ts';
import { RandomDisk } from '../support/synthetic/random-disk.ts';
import {
  CHUNK_SECTORS,
  PACK_SLOTS,
  type SyntheticStore,
} from '../support/synthetic/synthetic-store.ts';
import {
  DISK_BYTES,
  liveSlots,
  makeSyntheticVault,
  syntheticPlace,
  syntheticVm,
} from '../support/synthetic/synthetic-vault.ts';
import { backUp, signal } from '../support/vault/vault-lab.ts';

type Report = Record<string, string>;

const { values } = parseArgs({
  options: {
    tib: { type: 'string', default: '10' },
    live: { type: 'string', default: 'half' },
    folder: { type: 'string', default: tmpdir() },
    /** Which parts, in this order; of a folder that is kept when it is named. */
    parts: { type: 'string', default: 'make,cold,warm,lookups,plan,increment,files' },
    /** Each part is a process of its own, so that it shows its own memory. */
    part: { type: 'string' },
  },
});
const packs = Math.round((Number(values.tib) * 2 ** 40) / (64 * 2 ** 20));
const live = values.live === 'all' ? 'all' : 'half';

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const peak = (): string => mb(process.resourceUsage().maxRSS * 1024);

async function openVault(place: IndexPlace, options: OpenOptions = {}): Promise<Vault> {
  const unlock = { kind: 'master-key', key: place.keys.keyring } as const;
  return Vault.open(place.store, unlock, { cacheFolder: place.cacheFolder, ...options }, signal);
}

/** Processor time without what a store would just have. */
function processor(store: SyntheticStore): string {
  const { user, system } = process.cpuUsage();
  return seconds((user + system) / 1000 - store.madeProcessorMs);
}

async function make(folder: string): Promise<Report> {
  const startMs = performance.now();
  await makeSyntheticVault(folder, packs, live);
  return { 'making maps': seconds(performance.now() - startMs) };
}

async function cold(folder: string): Promise<Report> {
  const startMs = performance.now();
  const lab = await IndexLab.at(await syntheticPlace(folder, packs));
  await lab.load();
  await lab.close();
  const { madeMs, gets, lists } = lab.store;
  return {
    'cold rebuild': `${seconds(performance.now() - startMs - madeMs)}, and ${seconds(madeMs)} for making footers`,
    'cold rebuild, requests': `${String(gets)} GET, ${String(lists)} LIST`,
    'cold rebuild, processor': processor(lab.store),
    'cold rebuild, memory at most': peak(),
  };
}

async function warm(folder: string): Promise<Report> {
  const before = process.memoryUsage().rss;
  const startMs = performance.now();
  const lab = await IndexLab.at(await syntheticPlace(folder, packs));
  await lab.load();
  const tookMs = performance.now() - startMs;
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  await lab.close();
  return {
    'warm start': `${seconds(tookMs)}, processor ${processor(lab.store)}, ${String(lab.store.gets)} GET`,
    'warm start, memory': `${mb(rss)}, ${mb(before)} of it before; heap ${mb(heapUsed)}, buffers ${mb(arrayBuffers)}`,
    'warm start, memory at most': peak(),
  };
}

async function lookups(folder: string): Promise<Report> {
  const lab = await IndexLab.at(await syntheticPlace(folder, packs));
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
  report['lookups, memory at most'] = peak();
  await lab.close();
  return report;
}

/** What a collection would do, with what marking takes. */
async function plan(folder: string): Promise<Report> {
  const place = await syntheticPlace(folder, packs);
  const vault = await openVault(place, { workers: 0 });
  const startMs = performance.now();
  const found = await planPrune(vault.inside, [], { allPointsAreListed: true }, { signal });
  const tookMs = performance.now() - startMs;
  const most = peak();
  await vault.close();
  const dead = packs * PACK_SLOTS - liveSlots(packs, live);
  const { store } = place;
  const perTib = found.markingBytes / 1e6 / Number(values.tib);
  return {
    plan: `${seconds(tookMs - store.madeMs)}, processor ${processor(store)}`,
    'plan, found': `${String(found.deadSlots)} dead slots, ${found.deadSlots === dead ? 'all right' : `WRONG: ${String(dead)}`}`,
    'plan, marking': `${mb(found.markingBytes)}, ${perTib.toFixed(2)} MB per TiB, in ${String(found.shares)} shares`,
    'plan, requests': `${String(store.gets)} GET, ${String(store.lists)} LIST`,
    'plan, memory at most': most,
  };
}

/** Backups of little that changed: the first of a process, and a later one of the same. */
async function increment(folder: string): Promise<Report> {
  const place = await syntheticPlace(folder, packs);
  const store = new MeteredObjectStore(place.store);
  const disk = new MemoryDisk(DISK_BYTES);
  const offsets = Array.from(
    { length: 16 },
    (_, index) => index * LEAF_BYTES + CHUNK_SECTORS * 4096 * 99,
  );
  const extents = offsets.map((offset) => ({ offset, length: 2 ** 20, content: 'data' as const }));
  const report: Report = {};
  let startMs = performance.now();
  const unlock = { kind: 'master-key', key: place.keys.keyring } as const;
  const { cacheFolder } = place;
  const vault = await Vault.open(store, unlock, { cacheFolder, warm: true }, signal);
  for (const round of ['first', 'second']) {
    const before = store.traffic;
    startMs = round === 'first' ? startMs : performance.now();
    const point = await backUp(vault, disk, {
      vm: syntheticVm(0),
      reader: new RandomDisk(DISK_BYTES),
      changes: { method: 'changed-extents', extents },
    });
    const { puts, gets, lists } = store.traffic;
    const method = point.disks[0]?.method ?? '';
    report[`increment of 16 MiB, ${round}`] =
      `${seconds(performance.now() - startMs)}, ${method}: ${String(puts - before.puts)} PUT, ${String(lists - before.lists)} LIST, ${String(gets - before.gets)} GET`;
  }
  await vault.close();
  report['increment, memory at most'] = peak();
  return report;
}

async function files(folder: string): Promise<Report> {
  const [place = ''] = await readdir(join(folder, 'cache'));
  const runs = join(folder, 'cache', place, 'runs');
  let bytes = 0;
  for (const name of await readdir(runs)) {
    bytes += (await stat(join(runs, name))).size;
  }
  return { 'files of runs': mb(bytes) };
}

const PARTS = { make, cold, warm, lookups, plan, increment, files };

/** Compiles everything, for figures of what is installed. @returns this file */
async function compiled(): Promise<string> {
  const root = join(import.meta.dirname, '..', '..');
  const folder = join(root, 'node_modules', '.cache', 'hyperkeep-soak');
  await mkdir(folder, { recursive: true });
  const options = ['--noCheck', '--sourceMap', 'false', '--outDir', folder];
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', root, ...options], {
    stdio: 'inherit',
  });
  if (status !== 0) {
    throw new Error('it does not compile');
  }
  return join(folder, 'test', 'soak', 'scale.js');
}

async function runAll(folder: string): Promise<void> {
  const file = await compiled();
  for (const part of values.parts.split(',')) {
    const words = ['--tib', values.tib, '--live', live, '--folder', folder, '--part', part];
    const output = execFileSync(process.execPath, [...process.execArgv, file, ...words]).toString();
    console.table(JSON.parse(output));
  }
}

if (values.part !== undefined) {
  console.log(JSON.stringify(await PARTS[values.part as keyof typeof PARTS](values.folder)));
} else {
  const chunks = ((packs * PACK_SLOTS) / 1e6).toFixed(1);
  console.log(`${values.tib} TiB: ${String(packs)} packs, ${chunks} M chunks, ${live} needed`);
  const isKept = values.folder !== tmpdir();
  const folder = isKept ? values.folder : await mkdtemp(join(tmpdir(), 'hyperkeep-scale-'));
  try {
    await mkdir(folder, { recursive: true });
    await runAll(folder);
  } finally {
    if (!isKept) {
      await rm(folder, { recursive: true, force: true });
    }
  }
}
