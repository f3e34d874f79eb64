import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { cacheFolder, replaceFile } from '../scripts/setup/cache.mjs';

const FILE = join(cacheFolder('tests'), 'milliseconds.json');

function known() {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8'));
  } catch {
    // Never written, or cut off: only the duration of the run depends on the order.
    return {};
  }
}

function nameOf({ context, path }) {
  return relative(context.config.rootDir, path);
}

/**
 * Starts the longest files of the last run first, so that no worker waits long for the last one.
 * The times are kept outside the clone: Jest's own cache is empty in a fresh one.
 */
export default class LongestFirst {
  /** New files first: nobody knows how long they take. */
  sort(tests) {
    const times = known();
    const timeOf = (test) => times[nameOf(test)] ?? Infinity;
    return [...tests].sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : timeOf(a) > timeOf(b) ? -1 : 0));
  }

  allFailedTests(tests) {
    return tests;
  }

  cacheResults(tests, { testResults }) {
    const times = known();
    const names = new Map(tests.map((test) => [test.path, nameOf(test)]));
    for (const { testFilePath, perfStats, skipped, numPendingTests } of testResults) {
      // With `-t` only a part of a file runs.
      if (!skipped && numPendingTests === 0 && perfStats.runtime > 0) {
        times[names.get(testFilePath)] = perfStats.runtime;
      }
    }
    replaceFile(FILE, JSON.stringify(times));
  }
}
