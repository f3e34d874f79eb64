import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './cache.mjs';
import { SetupError, run, seconds } from './run.mjs';

function packagesIn(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    // Missing, or cut off by an install that was killed: both mean that nothing is installed.
    if (error.code === 'ENOENT' || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

/**
 * npm writes node_modules/.package-lock.json as the last step of an install. Everything that the
 * lock file names must be in it in that version; packages for other platforms may be absent.
 */
export function isInstalled(root) {
  const wanted = packagesIn(join(root, 'package-lock.json'));
  const present = packagesIn(join(root, 'node_modules', '.package-lock.json'));
  if (wanted === undefined) {
    throw new SetupError('package-lock.json is missing or damaged: git checkout package-lock.json');
  }
  if (present === undefined) {
    return false;
  }
  return Object.entries(wanted).every(
    ([path, { version, optional, peer }]) =>
      path === '' ||
      present[path]?.version === version ||
      (present[path] === undefined && (optional === true || peer === true)),
  );
}

/** Names a lock after the clone, so that two clones do not wait for each other. */
export function cloneLock(root, name) {
  return `${name}-${createHash('sha256').update(root).digest('hex').slice(0, 12)}`;
}

/**
 * Runs `npm ci`, unless node_modules is exactly what package-lock.json says. @returns true if it
 * did
 */
export async function ensureDependencies(root) {
  if (isInstalled(root)) {
    return false;
  }
  return withLock(cloneLock(root, 'npm-ci'), async () => {
    if (isInstalled(root)) {
      return false;
    }
    const started = performance.now();
    console.log('Installing npm packages (npm ci)');
    const flags = ['--no-audit', '--no-fund', '--loglevel=error'];
    const { exitCode, text } = await run('npm', ['ci', ...flags], { output: 'keep', cwd: root });
    if (exitCode !== 0) {
      throw new SetupError(`npm ci failed (exit ${exitCode}):\n${text.trim()}`, exitCode);
    }
    console.log(`npm packages ready (${seconds(started)})`);
    return true;
  });
}
