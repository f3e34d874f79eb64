// Builds the disks of the comparison from real Debian packages, once, without root.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join, relative } from 'node:path';
import {
  downloadDebianPackages,
  unpack,
  type DebianPackage,
} from '../scripts/guest/debian-packages.ts';
import { cacheFolder, withLock } from '../scripts/setup/cache.mjs';
import { systemPath } from '../scripts/setup/debian.mjs';
import { mustRun, seconds } from '../scripts/setup/run.mjs';
import { seededBytes } from '../test/support/random/seeded-bytes.ts';
import { PAGE_BYTES, rows, updatedFile, updatedPage } from './guest-content.ts';
import { recipes, type DayRecipe, type GuestRecipe } from './guest-recipes.ts';

export interface GuestImages {
  readonly guest: string;
  /** The guest one day later. */
  readonly day: string;
  /** Another guest, installed on its own. */
  readonly second: string;
}

const NAMES = { guest: 'guest.raw', day: 'day.raw', second: 'second.raw' } as const;
/** Increase it when the way the images are made changes. */
const BUILD_VERSION = 1;
const DATABASE = 'var/lib/records/records.db';
const BLOCK_BYTES = 4096;
const EPOCH_S = 1_700_000_000;

async function tool(file: string, parameters: readonly string[]): Promise<string> {
  const env = { PATH: systemPath(), LANG: 'C', E2FSPROGS_FAKE_TIME: String(EPOCH_S) };
  return (await mustRun(file, parameters, { output: 'keep', env })).text;
}

/** Returns the images, from the cache or built now. */
export async function guestImages(isQuick: boolean): Promise<GuestImages> {
  const plan = recipes(isQuick);
  const packages = {
    guest: await downloadDebianPackages(plan.guest.packages),
    second: await downloadDebianPackages(plan.second.packages),
  };
  const key = createHash('sha256')
    .update(JSON.stringify([BUILD_VERSION, plan, packages]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheFolder('bench'), key);
  await withLock(`bench-${key}`, async () => {
    if (existsSync(folder)) {
      return;
    }
    console.log('Building the disks of the comparison, once');
    const started = performance.now();
    const draft = await mkdtemp(join(cacheFolder('bench'), 'draft-'));
    try {
      const tree = join(draft, 'tree');
      await plant(tree, plan.guest, packages.guest);
      await makeImage(tree, join(draft, NAMES.guest), plan.guest);
      await tool('cp', ['--sparse=always', join(draft, NAMES.guest), join(draft, NAMES.day)]);
      await liveOneDay({ image: join(draft, NAMES.day), tree, draft }, plan.day);
      await removeTree(tree);
      await plant(tree, plan.second, packages.second);
      await makeImage(tree, join(draft, NAMES.second), plan.second);
      await removeTree(tree);
      await rename(draft, folder);
    } catch (error) {
      await removeTree(draft);
      throw error;
    }
    console.log(`Disks ready (${seconds(started)}) in ${folder}`);
  });
  const path = (name: keyof GuestImages): string => join(folder, NAMES[name]);
  return { guest: path('guest'), day: path('day'), second: path('second') };
}

/** Packages may hold folders that even their owner may not write to. */
async function removeTree(folder: string): Promise<void> {
  if (existsSync(folder)) {
    await tool('chmod', ['-R', 'u+rwX', folder]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function plant(
  tree: string,
  recipe: GuestRecipe,
  debs: readonly DebianPackage[],
): Promise<void> {
  await mkdir(tree, { recursive: true });
  for (const deb of debs) {
    await unpack(deb, tree);
  }
  for (const [path, content] of [
    [DATABASE, rows(`${recipe.name} database`, recipe.databaseBytes)],
    ['var/log/syslog', rows(`${recipe.name} log`, recipe.logBytes)],
  ] as const) {
    await mkdir(join(tree, path, '..'), { recursive: true });
    await writeFile(join(tree, path), content);
  }
}

async function makeImage(tree: string, image: string, recipe: GuestRecipe): Promise<void> {
  const id = createHash('sha256').update(recipe.name).digest('hex');
  const uuid = id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5');
  await writeFile(image, '');
  await truncate(image, recipe.diskBytes);
  const extended = `root_owner=0:0,hash_seed=${uuid},lazy_itable_init=1,lazy_journal_init=1`;
  await tool('mkfs.ext4', ['-q', '-F', '-U', uuid, '-E', extended, '-d', tree, image]);
  await chmod(image, 0o600);
}

interface Day {
  readonly image: string;
  /** What the image was made from. */
  readonly tree: string;
  readonly draft: string;
}

/** Does what a machine does in a day: updates, a growing log, writes all over a database. */
async function liveOneDay(day: Day, recipe: DayRecipe): Promise<void> {
  const script: string[] = [];
  const fresh = join(day.draft, 'fresh');
  await mkdir(fresh);
  const replace = async (path: string, content: Uint8Array): Promise<void> => {
    const source = join(fresh, String(script.length));
    await writeFile(source, content);
    const isNew = !existsSync(join(day.tree, path));
    script.push(...(isNew ? [] : [`rm "/${path}"`]), `write ${source} "/${path}"`);
  };
  for (const path of await filesToUpdate(day.tree, recipe.updatedBytes)) {
    await replace(path, updatedFile(await readFile(join(day.tree, path)), path));
  }
  await replace('var/log/syslog.1', rows('the log of the next day', recipe.logBytes));
  const scriptFile = join(day.draft, 'script');
  await writeFile(scriptFile, script.join('\n'));
  const said = await tool('debugfs', ['-w', '-f', scriptFile, day.image]);
  if (/No free|not found|error/i.test(said.replaceAll(/^debugfs.*$/gm, ''))) {
    throw new Error(`debugfs: ${said}`);
  }
  await rm(fresh, { recursive: true });
  await rm(scriptFile);
  await rewriteDatabase(day.image, recipe.databasePages);
  await tool('e2fsck', ['-fn', day.image]);
}

/** Returns files all over the tree, always the same for one tree, about `bytesMax` in total. */
async function filesToUpdate(tree: string, bytesMax: number): Promise<string[]> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(tree, join(entry.parentPath, entry.name)))
    .filter((path) => /^usr\/[A-Za-z0-9._/+-]+$/.test(path));
  const ranked = paths
    .map((path) => ({ path, rank: createHash('sha256').update(path).digest('hex') }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1));
  const chosen: string[] = [];
  let total = 0;
  for (const { path } of ranked) {
    const { size } = await stat(join(tree, path));
    if (size > 0 && total + size <= bytesMax) {
      chosen.push(path);
      total += size;
    }
  }
  return chosen;
}

/** Rewrites pages in place on the disk, as a database does. */
async function rewriteDatabase(image: string, pageCount: number): Promise<void> {
  const said = await tool('debugfs', ['-R', `blocks /${DATABASE}`, image]);
  const blocks = [...said.replace(/^debugfs.*$/m, '').matchAll(/\b\d+\b/g)].map(Number);
  const perPage = PAGE_BYTES / BLOCK_BYTES;
  const random = seededBytes('pages of the day', pageCount * 4);
  await using handle = await open(image, 'r+');
  for (let index = 0; index < pageCount; index += 1) {
    const drawn = Buffer.from(random).readUInt32LE(index * 4);
    const page = (drawn % Math.floor(blocks.length / perPage)) * perPage;
    const place = (blocks[page] ?? 0) * BLOCK_BYTES;
    const isWhole = blocks[page + 1] === (blocks[page] ?? 0) + 1;
    if (place > 0 && isWhole) {
      const old = Buffer.alloc(PAGE_BYTES);
      await handle.read(old, 0, PAGE_BYTES, place);
      await handle.write(updatedPage(old, `page ${String(index)}`), 0, PAGE_BYTES, place);
    }
  }
}
