import { join } from 'node:path';
import { SetupError, run, seconds } from './run.mjs';
import { jestParameters, partPattern } from './test.mjs';

const CACHE = 'node_modules/.cache';

/** All checks of the code that need no build and no outside program. */
function checks(root) {
  const bin = (path, ...parameters) => [join(root, 'node_modules', path), ...parameters];
  const format = ['--check', '.', '--cache', '--cache-location', `${CACHE}/prettier/check`];
  const lint = ['.', '--max-warnings', '0', '--cache', '--cache-location', `${CACHE}/eslint/`];
  const incremental = ['--incremental', '--tsBuildInfoFile', `${CACHE}/tsc.json`];
  return [
    { name: 'lint', parameters: bin('eslint/bin/eslint.js', ...lint) },
    { name: 'format', parameters: bin('prettier/bin/prettier.cjs', ...format) },
    { name: 'types', parameters: bin('typescript/bin/tsc', '--noEmit', ...incremental) },
    {
      name: 'architecture',
      parameters: bin('dependency-cruiser/bin/dependency-cruiser.mjs', 'src', 'test', '--config'),
    },
    { name: 'dead code', parameters: bin('knip/bin/knip.js') },
    {
      name: 'only tests use',
      parameters: bin('knip/bin/knip.js', '--production', '--config', 'knip.production.json'),
    },
    { name: 'unit tests', parameters: jestParameters(root, partPattern(root, 'unit')) },
  ];
}

/**
 * Runs the checks, two at a time, and stops at the first that fails.
 * Lint is the longest and goes first, so that the others run beside it.
 */
export async function runChecks(root) {
  const started = performance.now();
  const queue = checks(root);
  const stop = new AbortController();
  let failure;
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined && !failure; next = queue.shift()) {
      const { name, parameters } = next;
      const began = performance.now();
      const options = { output: 'keep', cwd: root, signal: stop.signal };
      const result = await run(process.execPath, parameters, options).catch((error) => {
        if (error.name === 'AbortError') {
          return undefined;
        }
        throw error;
      });
      if (result === undefined || failure) {
        return;
      }
      if (result.exitCode !== 0) {
        failure = { name, text: result.text };
        stop.abort();
        return;
      }
      console.log(`  ok  ${name.padEnd(14)}${seconds(began)}`);
    }
  };
  await Promise.all([lane(), lane()]);
  if (failure) {
    console.log(`${failure.text.trim()}\n`);
    throw new SetupError(`check failed: ${failure.name} (${seconds(started)})`);
  }
  console.log(`check passed (${seconds(started)})`);
}
