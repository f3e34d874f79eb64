import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { withLock } from './cache.mjs';
import { cloneLock } from './dependencies.mjs';
import { SetupError, run, seconds } from './run.mjs';

function inputsHash(root) {
  const hash = createHash('sha256');
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.spec.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'nest-cli.json', 'package-lock.json'];
  for (const path of [...settings.map((name) => join(root, name)), ...sources]) {
    hash
      .update(`${relative(root, path)}\0`)
      .update(readFileSync(path))
      .update('\0');
  }
  return hash.digest('hex');
}

/**
 * Compiles src into dist, unless dist was made from exactly these sources. @returns true if it did
 */
export async function ensureBuild(root) {
  const stamp = join(root, 'dist', '.inputs');
  const isFresh = (hash) => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
  if (isFresh(inputsHash(root))) {
    return false;
  }
  return withLock(cloneLock(root, 'build'), async () => {
    const hash = inputsHash(root);
    if (isFresh(hash)) {
      return false;
    }
    const started = performance.now();
    const nest = join(root, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
    const result = await run(process.execPath, [nest, 'build'], { output: 'keep', cwd: root });
    if (result.exitCode !== 0) {
      throw new SetupError(`The build failed:\n${result.text.trim()}`, result.exitCode);
    }
    writeFileSync(stamp, hash);
    console.log(`Built dist (${seconds(started)})`);
    return true;
  });
}
