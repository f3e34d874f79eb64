// Must run on Node 20: this is how a machine with an older Node gets to Node 24.
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, withLock } from './cache.mjs';
import { SetupError, mustRun, run, seconds } from './run.mjs';

const MINIMUM = [24, 11];
const VERSION = '24.21.0';
/** As the registry published them; a fetched package that differs is refused. */
const INTEGRITY = {
  x64: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  arm64:
    'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
};

export function isNewEnough(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1]);
}

async function works(node) {
  if (!existsSync(node)) {
    return false;
  }
  try {
    const { exitCode, text } = await run(node, ['--version'], { output: 'keep' });
    return exitCode === 0 && isNewEnough(text.trim());
  } catch {
    // Another architecture, or a place where nothing may be executed: counts as missing.
    return false;
  }
}

async function fetchNode(home) {
  const architecture = process.arch;
  const expected = INTEGRITY[architecture];
  if (process.platform !== 'linux' || expected === undefined) {
    throw new SetupError(
      `Node >= ${MINIMUM.join('.')} is needed, this is ${process.version}. Install Node 24 and run again.`,
    );
  }
  const started = performance.now();
  const name = `node-linux-${architecture}`;
  console.log(`Fetching Node ${VERSION} (this is ${process.version}) into ${home}`);
  const draft = `${home}.${process.pid}.tmp`;
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  // npm tells its scripts which project they belong to; this install belongs to none.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([key]) => !/^npm_(config_local_prefix|package_)/i.test(key),
    ),
  );
  try {
    await mustRun('npm', ['install', ...options, '--prefix', draft, `${name}@${VERSION}`], {
      output: 'keep',
      env,
    });
    const lock = JSON.parse(readFileSync(join(draft, 'package-lock.json'), 'utf8'));
    if (lock.packages[`node_modules/${name}`]?.integrity !== expected) {
      throw new SetupError(`${name}@${VERSION} is not the package that was expected; not used.`);
    }
    rmSync(home, { recursive: true, force: true });
    renameSync(draft, home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  console.log(`Node ${VERSION} ready (${seconds(started)})`);
}

/**
 * Path of a Node that is new enough: the running one, the clone's, the cache's, or a fetched one.
 */
export async function findNode(root) {
  if (isNewEnough(process.version)) {
    return process.execPath;
  }
  const inClone = join(root, 'node_modules', 'node', 'bin', 'node');
  if (await works(inClone)) {
    return inClone;
  }
  const home = join(cacheFolder(), `node-${VERSION}-${process.arch}`);
  const cached = join(home, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  if (!(await works(cached))) {
    await withLock('node', async () => {
      if (!(await works(cached))) {
        await fetchNode(home);
      }
    });
  }
  return cached;
}
