import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plainEnvironment, runCommand } from '../../src/kernel/command.ts';
import type { TriedServer } from './servers.ts';

/** The project's own tests that run against any S3 server, by what the page calls them. */
export const SUITES: Readonly<Record<string, string>> = {
  'passes the tests of object stores': 'test/integration/s3/s3.spec.ts',
  'holds a vault: import, verify, restore': 'test/integration/rescue/rescue-s3.spec.ts',
};
const SUITE_MS = 600_000;
/** The server may be on the same busy machine. */
const PATIENT = ['--testTimeout', '300000'];

interface JestReport {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly title: string }[];
  }[];
}

/** Runs a suite. @returns how many tests passed, and which did not */
export async function runSuite(spec: string, { options }: TriedServer): Promise<string> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), 'hk-suite-'));
  const file = join(folder, 'report.json');
  const { accessKeyId = '', secretAccessKey = '' } = options.credentials ?? {};
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const jest = [
    join(root, 'node_modules/jest/bin/jest.js'),
    spec,
    '--json',
    '--outputFile',
    file,
    ...PATIENT,
  ];
  try {
    await runCommand(process.execPath, [...flags, ...jest], AbortSignal.timeout(SUITE_MS), {
      workingFolder: root,
      accept: [0, 1],
      environment: {
        ...plainEnvironment(),
        S3_TEST_ENDPOINT: options.endpoint,
        ...(accessKeyId === '' ? awsEnvironment() : {}),
        ...(accessKeyId === ''
          ? {}
          : { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }),
      },
    });
    const report = JSON.parse(await readFile(file, 'utf8')) as JestReport;
    const failed = report.testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ status }) => status === 'failed');
    return failed.length === 0
      ? `yes: ${String(report.numPassedTests)} tests`
      : `no: ${String(report.numPassedTests)} tests pass, not: ${failed.map(({ title }) => title).join('; ')}`;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** For a server that the user named: its credentials come from the AWS settings. */
function awsEnvironment(): Record<string, string> {
  const names = Object.keys(process.env).filter((name) => name.startsWith('AWS_'));
  return Object.fromEntries(names.map((name) => [name, process.env[name] ?? '']));
}
