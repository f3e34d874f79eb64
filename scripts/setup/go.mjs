// Programs of others that Debian lacks or has too old: built once with Go, from the module proxy.
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { findProgram } from './debian.mjs';
import { mustRun } from './run.mjs';

/** Go installed from its own archive is often not on PATH. */
const GO = ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go'];

/** Path of the Go command; undefined when there is none. */
export function findGo() {
  return GO.map(findProgram).find((path) => path !== undefined);
}

/**
 * Builds the command of `module` (`path@version`) and moves it to `target`, in one step. The caller
 * holds the lock of the target.
 */
export async function goInstall(go, module, target) {
  const folder = mkdtempSync(join(cacheFolder('bin'), 'build-'));
  try {
    const env = { ...process.env, GOBIN: folder, GOFLAGS: '-trimpath' };
    await mustRun(go, ['install', module], { output: 'keep', env });
    renameSync(join(folder, programName(module)), target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `go install` names a program after the last part of its path. */
function programName(module) {
  return module.replace(/@.*$/, '').replace(/^.*\//, '');
}
