#!/usr/bin/env node
// Starts the command line of the built clone or package. Under Node 20 it runs far enough to find,
// or report, what is missing, and continues under Node 24.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import module from 'node:module';
import { constants, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MINIMUM = [24, 11];
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const cli = join(root, 'dist', 'cli.js');
const MAPPED_BYTES_MIN = String(1024 * 1024);
/** Exit code of `unsupported`, as docs/errors.md lists them. */
const EXIT_UNSUPPORTED = 7;

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1]);
}

function give(message) {
  process.stderr.write(`hyperkeep: ${message}\n`);
  process.exitCode = EXIT_UNSUPPORTED;
}

/** Continues under another Node: same terminal, same signals, same exit code. */
function goOnWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // Ctrl-C reaches the child directly, which decides what to do.
    process.on(signal, () => {
      if (signal !== 'SIGINT') {
        child.kill(signal);
      }
    });
  }
  child.on('error', (error) => give(`cannot start ${node}: ${error.message}`));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}

/**
 * After work, the service would keep some hundred MiB of free memory inside the heaps of glibc,
 * which only gives back their ends. With this setting every buffer of a MiB and more is a separate
 * mapping. glibc reads it when a process starts, so the service starts once more in its own place:
 * docs/decisions/0089.
 */
function startAgainAsService() {
  const { env, execArgv, execPath, argv } = process;
  if (argv[2] === 'serve' && env.MALLOC_MMAP_THRESHOLD_ === undefined) {
    const given = { ...env, MALLOC_MMAP_THRESHOLD_: MAPPED_BYTES_MIN };
    process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], given);
  }
}

/**
 * Makes a folder and missing folders above it for our user only, as the XDG base directory
 * specification says. One level at a time: Node's recursive mkdir never ends where none can be
 * made.
 */
function makePrivate(folder) {
  if (existsSync(folder)) {
    return;
  }
  makePrivate(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch {
    // Another process made it, or there will be no cache.
  }
}

async function main() {
  if (!isNewEnough(process.versions.node)) {
    const node = join(root, 'node_modules', 'node', 'bin', 'node');
    if (existsSync(node)) {
      goOnWith(node);
      return;
    }
    give(
      `this is Node ${process.versions.node}, at least ${MINIMUM.join('.')} is needed. ` +
        `Install Node 24, or run "npm ci" in ${root}.`,
    );
    return;
  }
  if (!existsSync(cli)) {
    give(`not built yet. Run "npm ci && npm run build" in ${root}.`);
    return;
  }
  startAgainAsService();
  // Compiled code is kept between runs: a third less time to start. A folder that cannot be written
  // is no error.
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const code = join(caches, 'hyperkeep', 'code');
  makePrivate(code);
  module.enableCompileCache(code);
  await import(cli);
}

await main();
