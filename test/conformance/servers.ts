import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ensureMinio, startMinio } from '../../scripts/setup/minio.mjs';
import { runCommand } from '../../src/kernel/command.ts';
import type { S3Options } from '../../src/vault/object-stores/s3/client.ts';

/** A server that is running, to be tried. */
export interface TriedServer {
  readonly name: string;
  readonly version: string;
  readonly options: S3Options & { readonly endpoint: string };
  stop(): Promise<void>;
}

const REGION = 'us-east-1';
const START_POLLS_MAX = 200;
const START_POLL_MS = 50;
const COMMAND_MS = 20_000;

export async function openMinio(): Promise<TriedServer> {
  const server = await startMinio();
  const { endpoint, credentials } = server;
  const said = await versionOf(await ensureMinio(), ['--version']);
  const version = /version (\S+)/.exec(said)?.[1] ?? said;
  const built = version.startsWith('DEVELOPMENT') ? 'v0.0.0-20260212201848-7aac2a2c5b7c' : version;
  return {
    name: 'MinIO',
    version: built,
    options: { endpoint, credentials, region: REGION },
    stop: () => server.stop(),
  };
}

/** `go install github.com/versity/versitygw/cmd/versitygw@v1.8.0` makes the program. */
export async function openVersity(): Promise<TriedServer | undefined> {
  const program = join(homedir(), '.cache', 'hyperkeep', 'bin', 'versitygw');
  if (!existsSync(program)) {
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'hk-versity-'));
  const [objects, versions] = [join(folder, 'objects'), join(folder, 'versions')];
  await mkdir(objects);
  await mkdir(versions);
  const port = await freePort();
  const credentials = {
    accessKeyId: randomBytes(8).toString('hex'),
    secretAccessKey: randomBytes(16).toString('hex'),
  };
  const words = [
    '--port',
    `127.0.0.1:${String(port)}`,
    'posix',
    '--versioning-dir',
    versions,
    objects,
  ];
  const child = spawn(program, words, {
    env: {
      PATH: '/usr/bin:/bin',
      HOME: folder,
      ROOT_ACCESS_KEY: credentials.accessKeyId,
      ROOT_SECRET_KEY: credentials.secretAccessKey,
    },
    stdio: 'ignore',
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    await rm(folder, { recursive: true, force: true });
  };
  if (!(await answers(port))) {
    await stop();
    throw new Error('versitygw did not start');
  }
  const said = await versionOf(program, ['--version']);
  const version = /v?\d+\.\d+\.\d+/.exec(said)?.[0] ?? 'v1.8.0';
  const options = { endpoint: `http://127.0.0.1:${String(port)}`, credentials, region: REGION };
  return { name: 'versitygw (posix)', version, options, stop };
}

/** Parses `NAME=VERSION=URL`: a running server, with the credentials of the AWS settings. */
export function openGiven(text: string): TriedServer {
  const [name = '', version = '', endpoint = ''] = text.split('=');
  if (!/^https?:/.test(endpoint)) {
    throw new Error(`not NAME=VERSION=URL: ${text}`);
  }
  return { name, version, options: { endpoint, region: REGION }, stop: () => Promise.resolve() };
}

async function versionOf(program: string, words: readonly string[]): Promise<string> {
  return (await runCommand(program, words, AbortSignal.timeout(COMMAND_MS))).stdout;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function answers(port: number): Promise<boolean> {
  for (let poll = 0; poll < START_POLLS_MAX; poll++) {
    const socket = connect(port, '127.0.0.1');
    const isUp = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isUp) {
      return true;
    }
    await pause(START_POLL_MS);
  }
  return false;
}
