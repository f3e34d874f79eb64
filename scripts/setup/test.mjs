import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SetupError, run, seconds } from './run.mjs';

/** Parts of the test suite in the order they run: the quickest answer first. */
export const PARTS = ['unit', 'integration', 'crash', 'e2e'];

function quote(path) {
  return path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** A regular expression over absolute paths. Every spec file belongs to exactly one part. */
export function partPattern(root, part) {
  const under = {
    unit: 'src/|test/[^/]+$',
    integration: 'test/(?!crash/|e2e/|soak/)[^/]+/',
    crash: 'test/crash/',
    e2e: 'test/e2e/',
  };
  return `^${quote(root)}/(${under[part]})`;
}

export function jestParameters(root, pattern, ...more) {
  return [
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

async function runPart(root, part, reportFile) {
  const pattern = partPattern(root, part);
  const files = specFiles(root).filter((path) => new RegExp(pattern).test(path));
  if (files.length === 0) {
    return { passed: 0, failed: 0, problem: 'there are no tests in this part' };
  }
  const more = ['--json', `--outputFile=${reportFile}`, '--silent=false'];
  // Suites of real programs leave a core idle.
  more.push('--maxWorkers=2');
  const { exitCode } = await run(process.execPath, jestParameters(root, pattern, ...more), {
    cwd: root,
  });
  let report;
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    // Jest died before it could report; its exit code and what it printed tell why.
    return { passed: 0, failed: 0, problem: `Jest ended without a report (exit ${exitCode})` };
  }
  const problem =
    report.numTotalTestSuites < files.length
      ? `${files.length - report.numTotalTestSuites} of ${files.length} test files did not run`
      : exitCode !== 0 && report.numFailedTests === 0
        ? `exit ${exitCode} though no single test failed (a test file did not load, or an error outside a test)`
        : undefined;
  return { passed: report.numPassedTests, failed: report.numFailedTests, problem };
}

/**
 * One PostgreSQL for the whole run, unless there is one: suites make databases of their own in it.
 */
async function startDatabase() {
  if (process.env.DATABASE_URL) {
    return undefined;
  }
  const { startTestServer } = await import('../../test/support/postgres.ts');
  const server = await startTestServer();
  process.env.DATABASE_URL = server.url;
  return server;
}

/** Runs all parts, also after a failure, so that one run tells everything. */
export async function runTests(root) {
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'hyperkeep-test-'));
  const results = [];
  const server = await startDatabase();
  try {
    for (const part of PARTS) {
      console.log(`\n== ${part} ==`);
      const began = performance.now();
      const result = await runPart(root, part, join(folder, `${part}.json`));
      results.push({ part, time: seconds(began), ...result });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await server?.[Symbol.asyncDispose]();
  }
  console.log('');
  for (const { part, time, passed, failed, problem } of results) {
    const counts = `${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed`;
    console.log(`${part.padEnd(12)}${counts}${time.padStart(10)}${problem ? `  ${problem}` : ''}`);
  }
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const broken = results.filter((result) => result.failed > 0 || result.problem !== undefined);
  console.log(`time: ${seconds(started)}`);
  if (broken.length > 0) {
    console.log(`test failed: ${broken.map(({ part }) => part).join(', ')}`);
  }
  // A part that could not run counts as a failure: the last line must not look clean.
  const unrun = broken.filter((result) => result.failed === 0).length;
  console.log(`${sum('passed')} passed, ${sum('failed') + unrun} failed`);
  if (broken.length > 0) {
    throw new SetupError('');
  }
}
