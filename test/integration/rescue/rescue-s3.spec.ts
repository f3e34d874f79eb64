import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { openS3TestServer, type S3TestServer } from '../../support/s3/minio.ts';
import { MIB, PASSPHRASE, RescueLab } from './rescue-lab.ts';

const CLI = new URL('../../../src/cli.ts', import.meta.url).pathname;

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as its own process, with nothing in its environment but what is given. */
describe('hyperkeep rescue on S3, as a process', () => {
  let lab: RescueLab;
  let server: S3TestServer;
  let place: string[];
  let environment: Record<string, string>;

  beforeAll(async () => {
    lab = await RescueLab.open();
    server = await openS3TestServer();
    const { endpoint, region = 'us-east-1', credentials } = server.options;
    place = [
      '--vault',
      `s3://${server.bucket}/vaults/one`,
      '--endpoint',
      endpoint,
      '--region',
      region,
    ];
    const passphraseFile = lab.path('passphrase');
    await writeFile(passphraseFile, `${PASSPHRASE}\n`, { mode: 0o600 });
    const keys: Record<string, string | undefined> =
      credentials === undefined
        ? process.env
        : {
            AWS_ACCESS_KEY_ID: credentials.accessKeyId,
            AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
          };
    environment = {
      PATH: process.env['PATH'] ?? '',
      HOME: lab.folder,
      AWS_ACCESS_KEY_ID: keys['AWS_ACCESS_KEY_ID'] ?? '',
      AWS_SECRET_ACCESS_KEY: keys['AWS_SECRET_ACCESS_KEY'] ?? '',
      HYPERKEEP_PASSPHRASE_FILE: passphraseFile,
    };
  });

  afterAll(async () => {
    await server.stop();
    await lab[Symbol.asyncDispose]();
  });

  async function rescue(
    words: readonly string[],
    more: Record<string, string> = {},
  ): Promise<Ended> {
    const child = spawn(process.execPath, [CLI, 'rescue', ...words, ...place], {
      cwd: lab.folder,
      env: { ...environment, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', (piece: Buffer) => (said.stdout += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (said.stderr += piece.toString()));
    const [exitCode] = (await once(child, 'close')) as [number | null];
    return { exitCode, ...said };
  }

  it('creates, imports, lists, verifies and restores', async () => {
    const image = await lab.write('web.raw', 30 * MIB, [
      { offset: 7 * MIB, length: 3 * MIB, seed: 's3' },
    ]);

    for (const words of [
      ['create', '--name', 'one'],
      ['import', image, '--vm', 'web'],
      ['points'],
      ['verify', 'latest'],
      ['restore', 'latest', '--to', 'out', '--format', 'raw'],
    ]) {
      const { exitCode, stderr } = await rescue(words);
      expect([words[0], exitCode, exitCode === 0 ? '' : stderr]).toEqual([words[0], 0, '']);
    }

    expect(await lab.contentHash(lab.path('out', 'web-disk0.raw'), 'raw')).toBe(
      await lab.contentHash(image, 'raw'),
    );
    expect((await readdir(lab.path('out'))).sort()).toEqual(['web-disk0.raw', 'web.json']);
  });

  it('prints one JSON document and nothing else', async () => {
    const { stdout, stderr } = await rescue(['points', '--json']);

    expect(JSON.parse(stdout)).toMatchObject({ points: [{ vmName: 'web' }] });
    expect(stderr).toBe('');
  });

  it('says so when the credentials are wrong, without waiting', async () => {
    const { exitCode, stderr } = await rescue(['points'], { AWS_SECRET_ACCESS_KEY: 'wrong' });

    expect([exitCode, stderr]).toEqual([3, expect.stringContaining('error store.denied: ')]);
  });

  it('says so when there is no such bucket', async () => {
    const elsewhere = place.map((word) => word.replace(server.bucket, `${server.bucket}-not`));
    const saved = place;
    place = elsewhere;
    const { exitCode, stderr } = await rescue(['points']);
    place = saved;

    expect([exitCode, stderr]).toEqual([
      4,
      expect.stringContaining('error store.bucket-missing: '),
    ]);
  });

  it('names a damaged recovery point instead of hiding it', async () => {
    const client = await connectS3(server.options);
    const store = new S3ObjectStore(client, { bucket: server.bucket, prefix: 'vaults/one/' });
    const { signal } = new AbortController();
    for await (const { key } of store.list('s/', signal)) {
      if (!key.endsWith('.ok')) {
        const content = (await store.get(key, signal)) ?? new Uint8Array();
        content[content.length - 1] = (content.at(-1) ?? 0) ^ 1;
        await store.put(key, content, signal);
      }
    }
    await store.close();

    const { stdout, stderr } = await rescue(['points', '--json']);

    expect(JSON.parse(stdout)).toMatchObject({ points: [] });
    expect(stderr).toContain('note: vault point damaged');
  });
});
