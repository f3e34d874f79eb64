import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { connectS3, type S3Options } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { mapAtOnce } from '../../../src/kernel/waiting/map-at-once.ts';
import { openS3TestServer, type S3TestServer } from '../s3/minio.ts';
import { signal } from '../vault/vault-lab.ts';
import { REQUEST_KINDS, type Liar } from './bucket-requests.ts';
import { COMMANDS, newWorld, type Command, type Places, type World } from './commands.ts';
import { keep } from './keep-command.ts';
import { LyingProxy } from './lying-proxy.ts';
import { beginningOf, type Beginning, type Scene } from './scene.ts';

const AT_ONCE = 8;
const HOUR_MS = 3_600_000;
const LOCK = { mode: 'governance', days: 1 } as const;

interface Parts {
  readonly server: S3TestServer;
  readonly proxy: LyingProxy;
  readonly bucket: string;
}

/** A real S3 server whose bucket has versions and locks, and a proxy in front of it that lies. */
export class RealScene implements Scene {
  readonly world: World;
  readonly start: ReadonlyMap<string, Uint8Array>;
  readonly commands: Readonly<Record<string, Command>> = { ...COMMANDS, keep };
  readonly kinds = REQUEST_KINDS;
  readonly #parts: Parts;
  #open: S3ObjectStore[] = [];
  /** Each trial has a place of its own: what is locked cannot be removed from the one before. */
  #trial = 0;

  private constructor(parts: Parts, { world, start }: Beginning) {
    this.#parts = parts;
    this.world = world;
    this.start = start;
  }

  static async open(): Promise<RealScene> {
    const server = await openS3TestServer();
    const proxy = await LyingProxy.open(server.options.endpoint);
    const bucket = `${server.bucket}-lies`;
    const client = await connectS3(server.options);
    await client.send(
      new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }),
    );
    client.destroy();
    const at = (prefix: string): Promise<S3ObjectStore> => openAt(server.options, bucket, prefix);
    const places = { vault: await at('origin/vault/'), copy: await at('origin/copy/') };
    const world = await newWorld(places, {
      lock: LOCK,
      probe: { largeBytes: 100_000, lockMs: 4000 },
    });
    return new RealScene({ server, proxy, bucket }, await beginningOf(world));
  }

  get objects(): ReadonlyMap<string, Uint8Array> {
    return this.start;
  }

  async begin(): Promise<Places> {
    await this.#close();
    this.#trial += 1;
    const truth = await this.truth();
    await mapAtOnce(this.start, AT_ONCE, async ([key, content]) => {
      const store = key.startsWith('vault/') ? truth.vault : truth.copy;
      // Locks that are about to run out: what the keeper is for.
      const lock = { mode: LOCK.mode, untilMs: Date.now() + HOUR_MS };
      await store.put(key.slice(key.indexOf('/') + 1), content, signal, { lock });
    });
    const { server, proxy } = this.#parts;
    return this.#places({ ...server.options, endpoint: proxy.endpoint });
  }

  async truth(): Promise<Places> {
    return this.#places(this.#parts.server.options);
  }

  follow(liar?: Liar): void {
    this.#parts.proxy.follow(liar);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    await this.world.vault.close();
    await this.world.copy.close();
    await this.#parts.proxy.close();
    await this.#parts.server.stop();
  }

  async #places(options: S3Options): Promise<Places> {
    const at = async (place: string): Promise<S3ObjectStore> => {
      const prefix = `t${String(this.#trial)}/${place}/`;
      const store = await openAt(options, this.#parts.bucket, prefix);
      this.#open.push(store);
      return store;
    };
    return { vault: await at('vault'), copy: await at('copy') };
  }

  async #close(): Promise<void> {
    for (const store of this.#open) {
      await store.close();
    }
    this.#open = [];
  }
}

async function openAt(options: S3Options, bucket: string, prefix: string): Promise<S3ObjectStore> {
  return new S3ObjectStore(await connectS3(options), { bucket, prefix });
}
