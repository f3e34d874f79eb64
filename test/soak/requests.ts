// npm run soak -- requests [--gib N] [--folder PATH]
//
// What `hyperkeep rescue import` sends to a real S3 server for an image of so much random data,
// counted by a proxy in between, and what a TiB of it makes. Needs twice N of disk, and MinIO as
// `npm test` installs it.
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runCommand } from '../../src/kernel/command.ts';
import { CountingProxy, type RequestCounts } from '../support/s3/counting-proxy.ts';
import { openS3TestServer, type S3TestServer } from '../support/s3/minio.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';

const GIB = 2 ** 30;
const TIB = 2 ** 40;
const PIECE_BYTES = 2 ** 26;
/** A recovery point of any size takes two: itself and its seal. */
const PUTS_PER_POINT = 2;
const CLI = join(import.meta.dirname, '..', '..', 'bin', 'hyperkeep.mjs');
const { signal } = new AbortController();

const { values } = parseArgs({
  options: {
    gib: { type: 'string', default: '4' },
    folder: { type: 'string', default: tmpdir() },
  },
});
const bytes = Number(values.gib) * GIB;

async function writeImage(path: string): Promise<void> {
  await using file = await open(path, 'w');
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    await file.write(seededBytes(`requests ${at}`, Math.min(PIECE_BYTES, bytes - at)));
  }
}

interface Place {
  readonly folder: string;
  readonly server: S3TestServer;
  readonly proxy: CountingProxy;
}

async function rescue(
  { folder, server, proxy }: Place,
  ...words: string[]
): Promise<RequestCounts> {
  const { credentials } = server.options;
  const environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    AWS_ACCESS_KEY_ID: credentials?.accessKeyId ?? '',
    AWS_SECRET_ACCESS_KEY: credentials?.secretAccessKey ?? '',
    HYPERKEEP_PASSPHRASE_FILE: join(folder, 'passphrase'),
  };
  const place = ['--vault', `s3://${server.bucket}/vault`, '--endpoint', proxy.endpoint];
  const parameters = [CLI, 'rescue', ...words, ...place, '--region', 'us-east-1'];
  proxy.take();
  await runCommand(process.execPath, parameters, signal, { environment, workingFolder: folder });
  return proxy.take();
}

const folder = await mkdtemp(join(values.folder, 'hyperkeep-requests-'));
const server = await openS3TestServer();
const proxy = await CountingProxy.to(server.options.endpoint);
try {
  const place = { folder, server, proxy };
  await writeFile(join(folder, 'passphrase'), 'a passphrase of this measurement\n', {
    mode: 0o600,
  });
  const image = join(folder, 'disk.raw');
  await writeImage(image);
  await rescue(place, 'create');
  const first = await rescue(place, 'import', image, '--vm', 'one');
  const again = await rescue(place, 'import', image, '--vm', 'one');
  const { PUT: puts = 0 } = first;
  console.table({
    [`first import of ${values.gib} GiB`]: first,
    'the same again, nothing changed': again,
  });
  const perTib = ((puts - PUTS_PER_POINT) / bytes) * TIB + PUTS_PER_POINT;
  console.log(`PUT per TiB stored: ${perTib.toFixed(0)} (limit 17,000), as many times as much`);
} finally {
  await proxy.close();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}
