import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { mapAtOnce } from '../../../src/kernel/waiting/map-at-once.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectEntry, ObjectStore } from '../../../src/vault/store/object-store.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { openS3TestServer, type S3TestServer } from '../s3/minio.ts';
import { S3Gate, type GateMoment, type GateRequest } from '../s3/s3-gate.ts';
import { PASSPHRASE, signal } from '../vault/vault-lab.ts';

const ROOT = join(import.meta.dirname, '../../..');
const UPLOADS_AT_ONCE = 8;

/** Where a process is killed: the n-th request of a kind, from 0. */
export interface KillPoint {
  readonly step: string;
  readonly nth: number;
  readonly moment: GateMoment;
}

/** A program of this project with its parameters. */
export interface Program {
  readonly path: string;
  readonly parameters: readonly string[];
  /** Accepted besides 0. */
  readonly exitCodes?: readonly number[];
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Ran {
  readonly isKilled: boolean;
  readonly requests: readonly GateRequest[];
}

/** A real S3 server, with a gate before it at which processes can be killed. */
export class KillLab implements AsyncDisposable {
  readonly folder: string;
  readonly #server: S3TestServer;
  readonly #gate: S3Gate;
  readonly #stores: ObjectStore[] = [];
  readonly #environment: Record<string, string>;
  #lockBucket: Promise<string> | undefined;
  #places = 0;

  private constructor(folder: string, server: S3TestServer, gate: S3Gate) {
    this.folder = folder;
    this.#server = server;
    this.#gate = gate;
    const { credentials } = server.options;
    const keys = {
      AWS_ACCESS_KEY_ID: credentials?.accessKeyId ?? process.env['AWS_ACCESS_KEY_ID'] ?? '',
      AWS_SECRET_ACCESS_KEY:
        credentials?.secretAccessKey ?? process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
    };
    this.#environment = {
      PATH: process.env['PATH'] ?? '',
      ...keys,
      HYPERKEEP_PASSPHRASE_FILE: join(folder, 'passphrase'),
      // Hundreds of processes of the same code.
      NODE_COMPILE_CACHE: join(folder, 'code'),
    };
  }

  static async open(): Promise<KillLab> {
    const folder = await mkdtemp(join(tmpdir(), 'hyperkeep-kill-'));
    await writeFile(join(folder, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
    const server = await openS3TestServer();
    return new KillLab(folder, server, await S3Gate.to(server.options.endpoint));
  }

  /** For processes whose requests are to be seen. */
  get endpoint(): string {
    return this.#gate.endpoint;
  }

  /** Between users of `endpoint` and the server. */
  get gate(): S3Gate {
    return this.#gate;
  }

  /** Settings with which a process can use the server. */
  get environment(): Readonly<Record<string, string>> {
    return this.#environment;
  }

  /** Makes a separate place with a copy of these objects; `kind` is part of its name. */
  async place(
    from: ObjectStore | undefined,
    kind: 'plain' | 'locked',
    copy?: ObjectStore,
  ): Promise<KillPlace> {
    const bucket = kind === 'plain' ? this.#server.bucket : await this.#bucketWithLock();
    const name = `trial-${String(this.#places++)}`;
    const home = join(this.folder, name);
    await mkdir(home);
    const place: KillPlace = {
      home,
      vault: `s3://${bucket}/${name}/vault`,
      copy: `s3://${bucket}/${name}/copy`,
      store: await this.#open(bucket, `${name}/vault/`),
      copyStore: await this.#open(bucket, `${name}/copy/`),
    };
    if (from !== undefined) {
      await copyObjects(from, place.store);
    }
    if (copy !== undefined) {
      await copyObjects(copy, place.copyStore);
    }
    return place;
  }

  /** Runs a program to its end, or kills it at this point. */
  async run(program: Program, { home }: KillPlace, at?: KillPoint): Promise<Ran> {
    const { path, parameters, exitCodes = [], environment = {} } = program;
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(ROOT, path), ...parameters],
      {
        cwd: home,
        env: { ...this.#environment, XDG_CACHE_HOME: join(home, 'cache'), ...environment },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    let said = '';
    child.stderr.on('data', (piece: Buffer) => (said += piece.toString()));
    let left = at?.nth ?? 0;
    this.#gate.follow((request, moment) => {
      const isIt = request.step === at?.step && moment === at.moment && left-- === 0;
      if (isIt) {
        child.kill('SIGKILL');
      }
      return isIt;
    });
    const [exitCode, ended] = (await once(child, 'close')) as [number | null, string | null];
    const requests = await this.#gate.seen();
    if (ended !== 'SIGKILL' && exitCode !== 0 && !exitCodes.includes(exitCode ?? -1)) {
      throw new Error(`${path} ended with ${String(exitCode ?? ended)}: ${said}`);
    }
    return { isKilled: ended === 'SIGKILL', requests };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gate.close();
    await Promise.all(this.#stores.map(async (store) => store.close()));
    await this.#server.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #open(bucket: string, prefix: string): Promise<S3ObjectStore> {
    const store = new S3ObjectStore(await connectS3(this.#server.options), { bucket, prefix });
    this.#stores.push(store);
    return store;
  }

  async #bucketWithLock(): Promise<string> {
    this.#lockBucket ??= this.#makeBucketWithLock(`${this.#server.bucket}-lock`);
    return this.#lockBucket;
  }

  async #makeBucketWithLock(bucket: string): Promise<string> {
    const client = await connectS3(this.#server.options);
    await client.send(
      new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }),
    );
    client.destroy();
    return bucket;
  }
}

/** A vault that a process works on. */
export interface KillPlace {
  /** Folder of the processes: caches are in it. */
  readonly home: string;
  readonly vault: string;
  readonly copy: string;
  /** Bypasses the gate. */
  readonly store: S3ObjectStore;
  readonly copyStore: S3ObjectStore;
}

export async function copyObjects(from: ObjectStore, to: ObjectStore): Promise<void> {
  const entries = await Array.fromAsync(from.list('', signal));
  await mapAtOnce(entries, UPLOADS_AT_ONCE, async ({ key }) => {
    await to.put(key, (await from.get(key, signal)) ?? new Uint8Array(), signal);
  });
}

export async function entriesOf(store: ObjectStore): Promise<ObjectEntry[]> {
  return Array.fromAsync(store.list('', signal));
}
