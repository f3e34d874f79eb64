import * as sync from 'node:fs';
import * as files from 'node:fs/promises';
import { systemFault } from './system-fault.ts';

/*
 * The calls of `node:fs` that the product uses, under their own names. If the system refuses one,
 * it throws a `SystemFault` that names the file, what is wrong and the next step; `systemCode`
 * returns the error's code. Lint keeps Node's own modules out of all other files.
 */

export { constants, type Dirent, type Stats } from 'node:fs';
export type { FileHandle } from 'node:fs/promises';

type Call = (...values: never[]) => unknown;

/** Node's message names both paths of `rename` and `link`; the first is ours. */
function pathOf([first]: readonly unknown[]): string | undefined {
  return typeof first === 'string' ? first : undefined;
}

function translated<Callee extends Call>(call: Callee, path?: string): Callee {
  const attempt = async (...values: never[]): Promise<unknown> => {
    try {
      return await call(...values);
    } catch (error) {
      throw systemFault(error, path ?? pathOf(values));
    }
  };
  return attempt as unknown as Callee;
}

function translatedSync<Callee extends Call>(call: Callee): Callee {
  const attempt = (...values: never[]): unknown => {
    try {
      return call(...values);
    } catch (error) {
      throw systemFault(error, pathOf(values));
    }
  };
  return attempt as unknown as Callee;
}

const HANDLE_CALLS = [
  'chmod',
  'chown',
  'close',
  'datasync',
  'read',
  'readFile',
  'stat',
  'sync',
  'truncate',
  'write',
  'writeFile',
] as const;

export const open = translated(async (...values: Parameters<typeof files.open>) => {
  const handle = await files.open(...values);
  // Errors of a handle do not name its file.
  const path = pathOf(values);
  for (const name of HANDLE_CALLS) {
    const call: Call = handle[name].bind(handle);
    Object.defineProperty(handle, name, { value: translated(call, path) });
  }
  return handle;
});

export const access = translated(files.access);
export const chmod = translated(files.chmod);
export const chown = translated(files.chown);
export const cp = translated(files.cp);
export const link = translated(files.link);
export const lstat = translated(files.lstat);
export const mkdir = translated(files.mkdir);
export const mkdtemp = translated(files.mkdtemp);
export const opendir = translated(files.opendir);
export const readFile = translated(files.readFile);
export const readdir = translated(files.readdir);
export const readlink = translated(files.readlink);
export const realpath = translated(files.realpath);
export const rename = translated(files.rename);
export const rm = translated(files.rm);
export const rmdir = translated(files.rmdir);
export const stat = translated(files.stat);
export const statfs = translated(files.statfs);
export const symlink = translated(files.symlink);
export const unlink = translated(files.unlink);
export const writeFile = translated(files.writeFile);

/*
 * For threads of their own, where nobody else waits, and for the first lines of a program.
 */

export const closeSync = translatedSync(sync.closeSync);
export const fstatSync = translatedSync(sync.fstatSync);
export const fsyncSync = translatedSync(sync.fsyncSync);
export const mkdirSync = translatedSync(sync.mkdirSync);
export const openSync = translatedSync(sync.openSync);
export const readFileSync = translatedSync(sync.readFileSync);
export const readSync = translatedSync(sync.readSync);
export const renameSync = translatedSync(sync.renameSync);
export const rmSync = translatedSync(sync.rmSync);
export const statSync = translatedSync(sync.statSync);
export const watch = translatedSync(sync.watch);
export const writeSync = translatedSync(sync.writeSync);
