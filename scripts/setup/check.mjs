import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, replaceFile } from './cache.mjs';
import { FormattedFiles } from './formatted-files.mjs';
import { LintedTree } from './linted-tree.mjs';
import { SetupError, run, seconds } from './run.mjs';
import { jestParameters, partPattern } from './test.mjs';

const CACHE = 'node_modules/.cache';

/** TypeScript goes by the hashes of the files: what it knows of one clone holds for another. */
const TYPES = join(cacheFolder('check'), 'types.json');

function bringTypes(root) {
  const here = join(root, CACHE, 'tsc.json');
  if (!existsSync(here) && existsSync(TYPES)) {
    mkdirSync(join(root, CACHE), { recursive: true });
    copyFileSync(TYPES, here);
  }
}

function keepTypes(root) {
  replaceFile(TYPES, readFileSync(join(root, CACHE, 'tsc.json')));
}

/** All checks of the code that need no build and no outside program. */
function checks(root) {
  const bin = (path, ...parameters) => [join(root, 'node_modules', path), ...parameters];
  const formatted = new FormattedFiles(root);
  const linted = new LintedTree(root);
  const lint = (name, ...what) => {
    const cache = `${CACHE}/eslint-${name}/`;
    const seesAll = !existsSync(join(root, cache));
    return {
      name: `lint ${name}`,
      isKnown: linted.isKnown(name),
      parameters: bin(
        'eslint/bin/eslint.js',
        ...[...what, '--max-warnings', '0', '--cache', '--cache-location', cache],
      ),
      // With its cache ESLint looks at changed files only: that says nothing about another clone.
      passed: () => seesAll && linted.remember(name),
    };
  };
  const incremental = ['--incremental', '--tsBuildInfoFile', `${CACHE}/tsc.json`];
  return [
    lint('src', 'src'),
    lint('others', '.', '--ignore-pattern', 'src/'),
    {
      name: 'unit tests',
      parameters: jestParameters(root, partPattern(root, 'unit'), '--maxWorkers=2'),
    },
    {
      name: 'format',
      parameters: bin('prettier/bin/prettier.cjs', ...formatted.parameters()),
      passed: () => formatted.remember(),
    },
    {
      name: 'types',
      parameters: bin('typescript/bin/tsc', '--noEmit', ...incremental),
      passed: () => keepTypes(root),
    },
    {
      name: 'architecture',
      parameters: bin('dependency-cruiser/bin/dependency-cruiser.mjs', 'src', 'test', '--config'),
    },
    { name: 'dead code', parameters: bin('knip/bin/knip.js') },
    {
      name: 'only tests use',
      parameters: bin('knip/bin/knip.js', '--production', '--config', 'knip.production.json'),
    },
  ];
}

/**
 * Runs the checks, two at a time, and stops at the first that fails.
 * Lint is the longest; in two halves it keeps two cores busy, and the others run after it.
 */
export async function runChecks(root) {
  const started = performance.now();
  bringTypes(root);
  const queue = checks(root);
  const stop = new AbortController();
  let failure;
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined && !failure; next = queue.shift()) {
      const { name, isKnown, parameters, passed } = next;
      if (isKnown) {
        console.log(`  ok  ${name.padEnd(14)}known: the same code passed`);
        continue;
      }
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
      passed?.();
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
