import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../setup/cache.mjs';
import { SetupError, run } from '../setup/run.mjs';

/** A .deb file as the package lists of apt describe it. */
export interface DebianPackage {
  readonly name: string;
  readonly fileName: string;
  readonly sha256: string;
}

const ENVIRONMENT = { PATH: process.env['PATH'], LANG: 'C', HOME: process.env['HOME'] ?? '/' };

async function apt(program: string, parameters: readonly string[], cwd = '/'): Promise<string> {
  const result = await run(program, parameters, { output: 'keep', env: ENVIRONMENT, cwd });
  if (result.exitCode !== 0) {
    throw new SetupError(`${program} ${parameters.join(' ')} failed:\n${result.text.trim()}`);
  }
  return result.text;
}

/**
 * Options that give apt package lists of our own, for people who may not update those of the
 * system.
 */
async function privateLists(): Promise<string[]> {
  const home = cacheFolder('apt');
  for (const folder of ['state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(home, folder), { recursive: true });
  }
  return [
    ...['-o', `Dir::State=${join(home, 'state')}`, '-o', `Dir::Cache=${join(home, 'cache')}`],
    ...['-o', 'Dir::State::status=/var/lib/dpkg/status', '-o', 'APT::Sandbox::User='],
  ];
}

async function resolve(names: readonly string[], options: string[]): Promise<DebianPackage[]> {
  const wanted: string[] = [];
  for (const name of names) {
    // A metapackage such as linux-image-cloud-amd64 stands for the newest kernel.
    const text = name.startsWith('linux-image-')
      ? await apt('apt-cache', [...options, 'depends', name])
      : '';
    wanted.push(/Depends: (linux-image-\d\S+)/.exec(text)?.[1] ?? name);
  }
  const text = await apt('apt-get', [...options, 'download', '--print-uris', ...wanted]);
  const found = [...text.matchAll(/^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})$/gm)].map(
    ([, fileName = '', sha256 = '']) => ({
      name: fileName.split('_', 1)[0] ?? '',
      fileName,
      sha256,
    }),
  );
  const missing = wanted.filter((name) => !found.some((deb) => deb.name === name));
  if (missing.length > 0) {
    throw new SetupError(`apt does not know: ${missing.join(', ')}`);
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function download(debs: readonly DebianPackage[], options: string[]): Promise<void> {
  const store = cacheFolder('debs');
  const absent = debs.filter((deb) => !existsSync(join(store, deb.sha256)));
  if (absent.length === 0) {
    return;
  }
  const draft = await mkdtemp(join(store, 'draft-'));
  try {
    await apt('apt-get', [...options, 'download', '-q', ...absent.map((deb) => deb.name)], draft);
    for (const deb of absent) {
      const content = await readFile(join(draft, deb.fileName));
      if (createHash('sha256').update(content).digest('hex') !== deb.sha256) {
        throw new SetupError(`${deb.fileName} is not the file that the package lists describe.`);
      }
      await rename(join(draft, deb.fileName), join(store, deb.sha256));
    }
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/**
 * Downloads packages for the amd64 guest as apt on this machine knows them, checked by their
 * SHA-256. Tries the system's package lists first; when those are absent or too old, fetches fresh
 * ones into the cache. Needs no root.
 */
export async function downloadDebianPackages(names: readonly string[]): Promise<DebianPackage[]> {
  let problem: unknown;
  for (const lists of ['system', 'private'] as const) {
    try {
      const options = lists === 'system' ? [] : await privateLists();
      if (lists === 'private') {
        await apt('apt-get', [...options, 'update', '-q']);
      }
      const debs = await resolve(names, options);
      await download(debs, options);
      return debs;
    } catch (error) {
      // The second try has the better message: its lists are fresh.
      problem = error;
    }
  }
  throw problem;
}

/** Unpacks a downloaded package into `folder`. */
export async function unpack(deb: DebianPackage, folder: string): Promise<void> {
  await apt('dpkg-deb', ['-x', join(cacheFolder('debs'), deb.sha256), folder]);
}
