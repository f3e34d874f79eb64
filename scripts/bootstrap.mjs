// node scripts/bootstrap.mjs demo|test|check|bench|soak|torture [arguments]
//
// Makes a fresh clone ready for the command and runs it. Plain JavaScript for Node 20 without any
// package; continues under Node 24. A second run finds everything done and only checks.
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { COMMANDS, ensureDebianPackages, systemPath } from './setup/debian.mjs';
import { ensureBuild } from './setup/build.mjs';
import { ensureDependencies } from './setup/dependencies.mjs';
import { beginMinio } from './setup/minio.mjs';
import { runChecks } from './setup/check.mjs';
import { findNode, isNewEnough } from './setup/node.mjs';
import { ensureRestic } from './setup/restic.mjs';
import { SetupError, run, seconds } from './setup/run.mjs';
import { runTests } from './setup/test.mjs';

const root = join(import.meta.dirname, '..');

async function runProgram(path, parameters) {
  if (!existsSync(join(root, path))) {
    throw new SetupError(`There is no ${path} in this version.`);
  }
  const flags = ['--disable-warning=ExperimentalWarning'];
  const { exitCode } = await run(process.execPath, [...flags, path, ...parameters], { cwd: root });
  return exitCode;
}

/** Of `--seed N`. */
function seedOf(parameters) {
  const { values } = parseArgs({ args: parameters, options: { seed: { type: 'string' } } });
  return values.seed === undefined ? undefined : Number(values.seed);
}

async function perform(command, parameters, begun) {
  switch (command) {
    case 'check':
      await runChecks(root);
      return 0;
    case 'test':
      await runTests(root, { seed: seedOf(parameters), minio: begun.minio });
      return 0;
    case 'soak': {
      const [name = '', ...rest] = parameters;
      if (!/^[a-z0-9-]+$/.test(name)) {
        throw new SetupError('Name the soak test: npm run soak -- NAME (see test/soak)', 64);
      }
      return runProgram(`test/soak/${name}.ts`, rest);
    }
    case 'torture':
      return runProgram('test/torture/main.ts', parameters);
    default:
      return runProgram(`${command}/main.ts`, parameters);
  }
}

/** @returns {Promise<{ minio?: Promise<unknown> }>} what runs in the background */
async function setUp(command) {
  const started = performance.now();
  const begun = {};
  const done = [await ensureDependencies(root), await ensureDebianPackages(command)];
  if (command !== 'check' && command !== 'torture') {
    done.push(await ensureBuild(root));
    const { ensureTestGuest } = await import('./guest/image.ts');
    done.push((await ensureTestGuest()).wasBuilt);
    if (command === 'test' && !process.env.S3_TEST_ENDPOINT) {
      begun.minio = beginMinio();
    }
    if (command === 'bench') {
      done.push(await ensureRestic());
    }
  }
  if (done.includes(true)) {
    console.log(`Set-up done (${seconds(started)})`);
  } else {
    console.log(`Set-up: nothing to do (${seconds(started)})`);
  }
  return begun;
}

async function main() {
  const [command, ...parameters] = process.argv.slice(2);
  if (!COMMANDS.includes(command)) {
    throw new SetupError(`Usage: node scripts/bootstrap.mjs ${COMMANDS.join('|')}`, 64);
  }
  const node = await findNode(root);
  // npm and everything it starts must find this Node first.
  process.env.PATH = systemPath([dirname(node), process.env.PATH ?? ''].join(delimiter));
  if (!isNewEnough(process.version)) {
    const script = join(import.meta.dirname, 'bootstrap.mjs');
    return (await run(node, [script, command, ...parameters])).exitCode;
  }
  return perform(command, parameters, await setUp(command));
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }
  // An empty message means that the terminal already shows what went wrong; the last line is the
  // result.
  if (error.message !== '') {
    console.error(`\n${error.message}`);
  }
  process.exitCode = error.exitCode;
}
