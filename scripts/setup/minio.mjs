// A real S3 server for tests and for the demo: MinIO, found or built once and cached.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cacheFolder, withLock } from './cache.mjs';
import { findProgram } from './debian.mjs';
import { findGo, goInstall } from './go.mjs';
import { EXIT_NEEDS_PERSON, SetupError, seconds } from './run.mjs';

/**
 * The last version with security fixes (tag RELEASE.2025-10-15T17-29-55Z and later), as the Go
 * proxy names it.
 */
const MODULE = 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c';

const HEALTH_POLL_MS = 50;
const HEALTH_POLLS_MAX = 1200;
const PORTS_TRIED_MAX = 5;

function cachedPath() {
  return join(cacheFolder('bin'), 'minio');
}

/**
 * Path of a MinIO server program: on PATH, from the cache, or built now with Go (some minutes,
 * once).
 *
 * @returns {Promise<string>}
 */
export async function ensureMinio() {
  const cached = cachedPath();
  const found = findProgram('minio') ?? findProgram(cached);
  if (found !== undefined) {
    return found;
  }
  return withLock('minio', async () => findProgram(cached) ?? (await build(cached)));
}

/**
 * Builds the server in the background if there is none.
 *
 * @returns {Promise<string> | undefined} its path; nothing is to do: undefined
 * @throws SetupError at once when it cannot be built here
 */
export function beginMinio() {
  if (findProgram('minio') ?? findProgram(cachedPath())) {
    return undefined;
  }
  needGo();
  const ready = ensureMinio();
  // Whoever waits for it gets the error; until then nobody handles it.
  ready.catch(() => undefined);
  return ready;
}

function needGo() {
  const go = findGo();
  if (go === undefined) {
    throw new SetupError(
      `No S3 server was found. Put a minio program on PATH or at ${cachedPath()}; with Go (1.21 or newer) this line builds it:\n\n` +
        `  GOBIN=${cacheFolder('bin')} go install ${MODULE}\n\n` +
        'or name a server of your own with S3_TEST_ENDPOINT and the AWS_* settings.',
      EXIT_NEEDS_PERSON,
    );
  }
  return go;
}

async function build(target) {
  const go = needGo();
  console.log(`Building the S3 server for tests (${MODULE}), once, for some minutes`);
  const started = performance.now();
  await goInstall(go, MODULE, target);
  console.log(`S3 server ready (${seconds(started)})`);
  return target;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Starts a MinIO of its own: a free loopback port, random credentials.
 *
 * @param {{
 *   dataFolder?: string,
 *   credentials?: { accessKeyId: string, secretAccessKey: string },
 *   port?: number,
 * }} [options]
 *   `dataFolder`: default a temporary one that `stop` removes; `port`: where it was before
 */
export async function startMinio(options = {}) {
  const program = await ensureMinio();
  const credentials = options.credentials ?? {
    accessKeyId: randomBytes(10).toString('hex'),
    secretAccessKey: randomBytes(20).toString('hex'),
  };
  const temporary = mkdtempSync(join(tmpdir(), 'hyperkeep-minio-'));
  const dataFolder = options.dataFolder ?? join(temporary, 'data');
  try {
    for (let tried = 1; ; tried += 1) {
      const server = await launch(program, {
        temporary,
        dataFolder,
        credentials,
        port: options.port,
      });
      if (server.endpoint !== undefined) {
        return { ...server, credentials, dataFolder };
      }
      if (tried === PORTS_TRIED_MAX) {
        throw new SetupError(`MinIO did not start:\n${server.said}`);
      }
    }
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** One attempt. Without `endpoint` it failed, most likely because another program took the port. */
async function launch(program, { temporary, dataFolder, credentials, ...given }) {
  const port = given.port ?? (await freePort());
  const endpoint = `http://127.0.0.1:${port}`;
  const child = spawn(program, ['server', '--address', `127.0.0.1:${port}`, dataFolder], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: temporary,
      MINIO_ROOT_USER: credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pieces = [];
  child.stdout.on('data', (piece) => pieces.push(piece));
  child.stderr.on('data', (piece) => pieces.push(piece));
  const ended = once(child, 'exit');
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    process.removeListener('exit', killNow);
    rmSync(temporary, { recursive: true, force: true });
  };
  const isUp = await Promise.race([isHealthy(endpoint), ended.then(() => false)]);
  if (isUp) {
    return { endpoint, pid: child.pid, stop };
  }
  child.kill('SIGKILL');
  await ended;
  process.removeListener('exit', killNow);
  return { said: Buffer.concat(pieces).toString('utf8') };
}

/** Waits until the server can write. */
async function isHealthy(endpoint) {
  for (let poll = 0; poll < HEALTH_POLLS_MAX; poll += 1) {
    try {
      const answer = await fetch(`${endpoint}/minio/health/cluster`);
      await answer.arrayBuffer();
      if (answer.ok) {
        return true;
      }
    } catch {
      // Nobody listens yet.
    }
    await delay(HEALTH_POLL_MS);
  }
  return false;
}
