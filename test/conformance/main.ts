import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../src/kernel/clock.ts';
import { DirectoryObjectStore } from '../../src/vault/object-stores/folder/directory.ts';
import { connectS3 } from '../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../src/vault/object-stores/s3/s3-object-store.ts';
import {
  CHECK_NAMES,
  CHECKS,
  type Capabilities,
  type CheckName,
  type Finding,
} from '../../src/vault/probe/capabilities.ts';
import { probeStore } from '../../src/vault/probe/store-probe.ts';
import { openCeph } from './ceph.ts';
import { runSuite, SUITES } from './suites.ts';
import { openGiven, openMinio, openVersity, type TriedServer } from './servers.ts';

/*
 * npm run conformance [-- NAME=VERSION=URL ...]: tries a folder, MinIO, Ceph RGW and versitygw if
 * they are installed, and the servers named, and writes docs/s3-conformance.md.
 */

const signal = new AbortController().signal;
const options = { clock: new SystemClock() };

const OF_LOCKED: readonly CheckName[] = ['versions', 'lock-governance', 'lock-compliance'];

interface Column {
  readonly title: string;
  readonly findings: Capabilities['findings'];
  /** By the names of `SUITES`; a folder has its own tests in `npm test`. */
  readonly suites: Readonly<Record<string, string>>;
}

async function tryServer(server: TriedServer): Promise<Column> {
  const { name, version, options: s3 } = server;
  const suffix = randomBytes(4).toString('hex');
  const plain = await tryBucket(s3, `hk-plain-${suffix}`, false);
  const locked = await tryLocks(s3, `hk-lock-${suffix}`);
  // Versions and locks are asked of the bucket that was made for them.
  const findings = Object.fromEntries(
    CHECK_NAMES.map((check) => [check, ofBoth(check, plain[check], locked[check])]),
  );
  const suites: Record<string, string> = {};
  for (const [title, spec] of Object.entries(SUITES)) {
    suites[title] = await runSuite(spec, server);
    console.log(`${name}: ${title}: ${suites[title]}`);
  }
  return { title: `${name} ${version}`, findings, suites };
}

function ofBoth(check: CheckName, plain?: Finding, locked?: Finding): Finding | undefined {
  if (locked === undefined || OF_LOCKED.includes(check)) {
    return locked ?? plain;
  }
  return plain?.verdict === 'yes' && locked.verdict !== 'yes'
    ? { verdict: 'yes', detail: `but not with versions: ${locked.detail ?? locked.verdict}` }
    : plain;
}

async function tryLocks(
  s3: TriedServer['options'],
  bucket: string,
): Promise<Capabilities['findings']> {
  try {
    return await tryBucket(s3, bucket, true);
  } catch (error) {
    // Not every server has them; the page says so.
    const detail = `a bucket with locks cannot be made: ${String(error).slice(0, 80)}`;
    return {
      'lock-governance': { verdict: 'no', detail },
      'lock-compliance': { verdict: 'no', detail },
    };
  }
}

async function tryBucket(
  s3: TriedServer['options'],
  bucket: string,
  lock: boolean,
): Promise<Capabilities['findings']> {
  const client = await connectS3(s3);
  await client.send(
    new CreateBucketCommand({
      Bucket: bucket,
      ...(lock ? { ObjectLockEnabledForBucket: true } : {}),
    }),
  );
  const store = new S3ObjectStore(client, { bucket, prefix: 'vault/' });
  try {
    const { findings, leftovers } = await probeStore(store, options, signal);
    console.log(`${bucket}: ${JSON.stringify(findings)}, ${String(leftovers)} left`);
    return findings;
  } finally {
    await store.close();
  }
}

async function tryFolder(): Promise<Column> {
  const folder = await mkdtemp(join(tmpdir(), 'hk-conformance-'));
  try {
    const { findings } = await probeStore(new DirectoryObjectStore(folder), options, signal);
    return { title: 'a local folder', findings, suites: {} };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function page(columns: readonly Column[]): string {
  const cell = (finding: Finding | undefined): string =>
    finding === undefined
      ? 'not tried'
      : [finding.verdict, finding.detail?.replaceAll('|', '/')].filter(Boolean).join(': ');
  const rows = CHECK_NAMES.map(
    (name) =>
      `| ${[CHECKS[name].title, CHECKS[name].neededBy, ...columns.map(({ findings }) => cell(findings[name]))].join(' | ')} |`,
  );
  for (const title of Object.keys(SUITES)) {
    const said = columns.map(({ suites }) =>
      (suites[title] ?? 'in `npm test`').replaceAll('|', '/'),
    );
    rows.push(`| ${[title, 'always', ...said].join(' | ')} |`);
  }
  const date = new Date(options.clock.nowMs()).toISOString().slice(0, 10);
  return `# What stores do

Written by \`npm run conformance\` on ${date}. Each store was tried as \`rescue create\` and \`rescue probe\` try it: with real requests, the locks until
they refused and until they ended. A vault is not created on a store that lacks what it needs: \`always\` every vault, \`writers\` more than one machine,
\`versions\` and \`lock\` a vault with \`--lock\`, \`nobody\` is good to know.

| The store | needed by | ${columns.map(({ title }) => title).join(' | ')} |
| --- | --- | ${columns.map(() => '---').join(' | ')} |
${rows.join('\n')}

The last rows are the project's own tests with \`S3_TEST_ENDPOINT\`. An S3 server is tried with two buckets: one plain, one made with object lock, from which the rows on versions and locks come. "These credentials may bypass it" is about the
account of the test, which may do everything; the [roles](roles.md) may not. Nothing relies on a put that is conditional. Other servers: \`npm run conformance -- NAME=VERSION=https://host:port\` with the AWS settings.
`;
}

const columns = [await tryFolder()];
const openers = [
  openMinio,
  openCeph,
  openVersity,
  ...process.argv.slice(2).map((text) => () => Promise.resolve(openGiven(text))),
];
for (const open of openers) {
  const server = await open();
  if (server === undefined) {
    continue;
  }
  try {
    columns.push(await tryServer(server));
  } finally {
    await server.stop();
  }
}
await writeFile(new URL('../../docs/s3-conformance.md', import.meta.url), page(columns));
console.log('docs/s3-conformance.md written');
