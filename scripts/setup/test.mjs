import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { SetupError, run, seconds } from './run.mjs';

/** Parts of the test suite in the order they run: the quickest answer first. */
export const PARTS = ['unit', 'integration', 'crash', 'e2e'];
/** What Jest is started for. */
const RUNS = [['unit'], ['integration', 'crash', 'e2e']];
const SLOWEST = 10;

function quote(path) {
  return path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** A regular expression over absolute paths. Every spec file belongs to exactly one part. */
export function partPattern(root, part) {
  const under = {
    // A spec of a whole vault stands beside its subject and is called *.long.spec.ts.
    unit: 'src/(?!.*[.]long[.]spec)|test/[^/]+$',
    integration: 'src/.*[.]long[.]spec|test/(?!crash/|e2e/|soak/)[^/]+/',
    crash: 'test/crash/',
    e2e: 'test/e2e/',
  };
  return `^${quote(root)}/(${under[part]})`;
}

export function jestParameters(root, pattern, ...more) {
  return [
    // Every file loads hundreds of modules anew: a tenth of the processor time is saved.
    '--min-semi-space-size=16',
    '--max-semi-space-size=64',
    // Collected is when the heap is four times what lived last: another twelfth, for 100 MB each.
    '--heap-growing-percent=300',
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--testPathPatterns',
    pattern,
    ...more,
  ];
}

function specFiles(root) {
  return ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((name) => name.endsWith('.spec.ts'))
      .map((name) => join(root, folder, name)),
  );
}

/**
 * Runs these parts in one go, so that the last file of one does not keep the next one waiting.
 *
 * @typedef {{ name: string, ms: number }} File
 * @typedef {{ passed: number, failed: number, problem?: string, files: File[] }} Counts
 * @returns {Promise<(Counts & { part: string })[]>}
 */
async function runParts(root, parts, { reportFile, seed }) {
  const patterns = new Map(parts.map((part) => [part, partPattern(root, part)]));
  const pattern = [...patterns.values()].map((one) => `(${one})`).join('|');
  const more = ['--json', `--outputFile=${reportFile}`, '--silent=false', `--seed=${seed}`];
  // Suites of real programs wait for these: with one worker more than cores, no core is idle.
  const waits = parts.includes('integration') ? 1 : 0;
  more.push(`--maxWorkers=${availableParallelism() + waits}`);
  const { exitCode } = await run(process.execPath, jestParameters(root, pattern, ...more), {
    cwd: root,
  });
  let report;
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    // Jest died before it could report; its exit code and what it printed tell why.
    const problem = `Jest ended without a report (exit ${exitCode})`;
    return parts.map((part) => ({ part, passed: 0, failed: 0, problem, files: [] }));
  }
  const results = [...patterns].map(([part, one]) => resultOf(root, part, new RegExp(one), report));
  if (exitCode !== 0 && results.every(({ failed, problem }) => failed === 0 && !problem)) {
    results[0].problem = `exit ${exitCode} though no single test failed (an error outside a test)`;
  }
  return results;
}

function resultOf(root, part, pattern, { testResults }) {
  const files = specFiles(root).filter((path) => pattern.test(path));
  const ran = testResults.filter(({ name }) => pattern.test(name));
  const tests = ran.flatMap(({ assertionResults }) => assertionResults);
  const count = (wanted) => tests.filter(({ status }) => status === wanted).length;
  const silent = ran.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const problem =
    files.length === 0
      ? 'there are no tests in this part'
      : ran.length < files.length
        ? `${files.length - ran.length} of ${files.length} test files did not run`
        : silent > 0
          ? `${silent} test files did not load`
          : undefined;
  return {
    ...{ part, passed: count('passed'), failed: count('failed'), problem },
    files: ran.map(({ name, startTime, endTime }) => ({
      name: relative(root, name),
      ms: endTime - startTime,
    })),
  };
}

function showSlowest(files) {
  console.log('slowest files:');
  for (const { name, ms } of files.toSorted((a, b) => b.ms - a.ms).slice(0, SLOWEST)) {
    console.log(`${(ms / 1000).toFixed(1).padStart(8)} s  ${name}`);
  }
}

/**
 * Starts one PostgreSQL for the whole run, unless there is one: suites make their own databases in
 * it.
 */
async function startDatabase() {
  if (process.env.DATABASE_URL) {
    return undefined;
  }
  const { startTestServer } = await import('../../test/support/service/postgres.ts');
  const server = await startTestServer();
  process.env.DATABASE_URL = server.url;
  return server;
}

/**
 * Runs all parts, even after a failure, so that one run reports everything.
 *
 * @param {string} root
 * @param {{ seed?: number, minio?: Promise<unknown> }} options seed: for everything that is drawn;
 *   minio: until it settles there is no S3 server, which the first run does not need
 */
export async function runTests(root, { seed = randomInt(2 ** 31), minio }) {
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'hyperkeep-test-'));
  // There are thousands of worker threads and child processes with the same code.
  process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'code');
  const results = [];
  const server = await startDatabase();
  try {
    for (const [index, parts] of RUNS.entries()) {
      if (index > 0) {
        await minio;
      }
      console.log(`\n== ${parts.join(', ')} ==`);
      const began = performance.now();
      const reportFile = join(folder, `${index}.json`);
      const found = await runParts(root, parts, { reportFile, seed });
      found[found.length - 1].time = seconds(began);
      results.push(...found);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await server?.[Symbol.asyncDispose]();
  }
  console.log('');
  showSlowest(results.flatMap(({ files }) => files));
  console.log('');
  for (const { part, time = '', passed, failed, problem } of results) {
    const counts = `${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed`;
    console.log(`${part.padEnd(12)}${counts}${time.padStart(10)}${problem ? `  ${problem}` : ''}`);
  }
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const broken = results.filter((result) => result.failed > 0 || result.problem !== undefined);
  console.log(`time: ${seconds(started)}`);
  if (broken.length > 0) {
    console.log(`test failed: ${broken.map(({ part }) => part).join(', ')}`);
    console.log(`the same draws again: npm test -- --seed ${seed}`);
  }
  // A part that could not run counts as a failure: the last line must not look clean.
  const unrun = broken.filter((result) => result.failed === 0).length;
  console.log(`${sum('passed')} passed, ${sum('failed') + unrun} failed`);
  if (broken.length > 0) {
    throw new SetupError('');
  }
}
