// The programs that are compared, each with its defaults apart from where its files are.
import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '../scripts/setup/debian.mjs';
import { mustRun } from '../scripts/setup/run.mjs';
import { findRestic, RESTIC_VERSION } from '../scripts/setup/restic.mjs';
import { compiledRun, ROOT } from './compiled-run.ts';
import { measure, stored, type Cost, type Program, type Stored } from './measure.ts';

/** One program with an empty target of its own. */
export interface Contender {
  readonly name: string;
  prepare(): Promise<void>;
  /** Backs up an image and reads all of it. `vm` is the machine it belongs to. */
  backUp(image: string, vm: string): Promise<Cost>;
  /** Restores the newest backup of `image` and `vm` to a new file. */
  restore(image: string, vm: string, file: string): Promise<Cost>;
  stored(): Promise<Stored>;
  /** Called after the last step. */
  end?(): Promise<void>;
}

const PASSPHRASE = 'only for measuring';

/** Returns the environment that `hyperkeep-run.ts` reads. */
export function benchEnvironment(cacheFolder: string, root = ROOT): Record<string, string> {
  const { BENCH_SOURCE = '', BENCH_LEVEL = '' } = process.env;
  return {
    BENCH_PASSPHRASE: PASSPHRASE,
    BENCH_CACHE: cacheFolder,
    BENCH_ROOT: root,
    BENCH_SOURCE,
    BENCH_LEVEL,
  };
}

function program(name: string): string {
  const path = findProgram(name) as string | undefined;
  if (path === undefined) {
    throw new Error(`There is no ${name} on this machine.`);
  }
  return path;
}

/** Name for `--only` of Hyperkeep with its fast level. */
export const FAST = 'hyperkeep-fast';
/** Names for `--only` of Debian's restic and today's. */
export const RESTIC_OF_DEBIAN = 'restic';
export const RESTIC_OF_TODAY = `restic-${RESTIC_VERSION}`;

/** How Hyperkeep is run: from this checkout or another, with a profile, at a level. */
export interface HyperkeepOptions {
  readonly name?: string;
  readonly root?: string;
  readonly profileFolder?: string | undefined;
  readonly level?: number;
}

/** `bench/hyperkeep-run.ts` as people run the product: compiled. */
export function hyperkeepProgram(
  folder: string,
  parameters: readonly string[],
  { root = ROOT, profileFolder, level }: HyperkeepOptions = {},
): Program {
  return {
    file: process.execPath,
    parameters: [
      '--disable-warning=ExperimentalWarning',
      ...(profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]),
      compiledRun(folder, root),
      ...parameters,
    ],
    environment: {
      HOME: folder,
      ...benchEnvironment(join(folder, 'cache'), root),
      ...(level === undefined ? {} : { BENCH_LEVEL: String(level) }),
    },
  };
}

/** Hyperkeep as a command: each step is a separate process. */
export function hyperkeep(folder: string, options: HyperkeepOptions = {}): Contender {
  const target = join(folder, 'vault');
  const run = (parameters: readonly string[]): Program =>
    hyperkeepProgram(folder, parameters, options);
  return {
    name: options.name ?? 'hyperkeep',
    prepare: async () => {
      await mkdir(folder, { recursive: true });
      await measure(run(['create', target]));
    },
    backUp: (image, vm) => measure(run(['back-up', target, image, vm])),
    restore: (_image, vm, file) => measure(run(['restore', target, vm, file])),
    stored: () => stored(target),
  };
}

export function resticOfDebian(folder: string): Contender {
  return restic(RESTIC_OF_DEBIAN, {
    folder,
    file: () => program('restic'),
    restoring: [],
  });
}

/** Undefined if set-up could not build it, which it reported. */
export function resticOfToday(folder: string): Contender | undefined {
  const file = findRestic() as string | undefined;
  return file === undefined
    ? undefined
    : // Debian's has no such option and writes all zeroes of the disk.
      restic(RESTIC_OF_TODAY, { folder, file: () => file, restoring: ['--sparse'] });
}

interface Restic {
  readonly folder: string;
  readonly file: () => string;
  /** Options of its `restore`. */
  readonly restoring: readonly string[];
}

function restic(name: string, { folder, file, restoring }: Restic): Contender {
  const target = join(folder, 'repository');
  const run = (...parameters: string[]): Program => ({
    file: file(),
    parameters: ['--quiet', '--repo', target, '--cache-dir', join(folder, 'cache'), ...parameters],
    environment: { HOME: folder, RESTIC_PASSWORD: PASSPHRASE },
  });
  return {
    name,
    prepare: async () => {
      await mkdir(folder, { recursive: true });
      await measure(run('init'));
    },
    // --force reads the file although its time and size are those of the last run.
    backUp: (image, vm) => measure(run('backup', '--force', '--host', vm, image)),
    restore: async (image, vm, to) => {
      const out = `${to}.restic`;
      const include = ['--host', vm, '--path', image, '--include', image];
      const cost = await measure(
        run('restore', 'latest', ...restoring, ...include, '--target', out),
      );
      await rename(join(out, image), to);
      return cost;
    },
    stored: () => stored(target),
  };
}

export function borg(folder: string): Contender {
  const target = join(folder, 'repository');
  let count = 0;
  const latest = new Map<string, string>();
  const run = (...parameters: string[]): Program => ({
    file: program('borg'),
    parameters,
    environment: {
      HOME: folder,
      BORG_BASE_DIR: folder,
      BORG_PASSPHRASE: PASSPHRASE,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    },
    workingFolder: folder,
  });
  return {
    name: 'borg',
    prepare: async () => {
      await mkdir(folder, { recursive: true });
      await measure(run('init', '--encryption=repokey-blake2', target));
    },
    backUp: async (image, vm) => {
      count += 1;
      const archive = `${vm}-${String(count)}`;
      latest.set(vm, archive);
      const settings = ['--compression=zstd,1', '--files-cache=disabled'];
      return measure(run('create', ...settings, `${target}::${archive}`, image));
    },
    restore: async (image, vm, file) => {
      const archive = `${target}::${latest.get(vm) ?? ''}`;
      const out = `${file}.borg`;
      await mkdir(out);
      const extract = run('extract', '--sparse', archive, image.slice(1));
      const cost = await measure({ ...extract, workingFolder: out });
      await rename(join(out, image), file);
      return cost;
    },
    stored: () => stored(target),
  };
}

/** Returns the versions of the other programs, as they report them. */
export async function versionsOfOthers(): Promise<string[]> {
  const programs = [
    [findProgram('restic'), 'version'],
    [findRestic(), 'version'],
    [findProgram('borg'), '--version'],
  ] as const;
  const versions = [];
  for (const [file, parameter] of programs) {
    if (file !== undefined) {
      const { text } = await mustRun(file as string, [parameter], { output: 'keep' });
      versions.push(text.trim().replace(/ compiled with.*/, ''));
    }
  }
  return versions;
}

/** Reads a file once so that the first program does not pay for a cold disk. */
export async function warm(file: string): Promise<void> {
  await using handle = await open(file);
  const buffer = Buffer.allocUnsafe(8 * 1024 * 1024);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length);
    if (bytesRead === 0) {
      return;
    }
  }
}
