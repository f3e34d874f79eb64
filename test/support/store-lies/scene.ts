import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { signal } from '../vault/vault-lab.ts';
import { PLAIN_KINDS, type Liar, type RequestKind } from './bucket-requests.ts';
import { BucketServer } from './bucket-server.ts';
import { COMMANDS, newWorld, type Command, type Places, type World } from './commands.ts';

export type Objects = Map<string, Uint8Array>;

/** Where trials take place: a server behind a liar, and the truth beside. */
export interface Scene extends AsyncDisposable {
  readonly world: World;
  readonly commands: Readonly<Record<string, Command>>;
  /** What its server can be asked. */
  readonly kinds: readonly RequestKind[];
  /** What is there when a trial begins, by keys in `vault/` and `copy/`. */
  readonly start: ReadonlyMap<string, Uint8Array>;
  /** Restores that state. @returns the places as a command sees them */
  begin(): Promise<Places>;
  /** What is there now, or was when the trial began where that would cost too much. */
  readonly objects: ReadonlyMap<string, Uint8Array>;
  /** Both places as they really are. */
  truth(): Promise<Places>;
  follow(liar?: Liar): void;
}

/** A small S3 server in this process. */
export class LocalScene implements Scene {
  readonly world: World;
  readonly start: ReadonlyMap<string, Uint8Array>;
  readonly commands = COMMANDS;
  readonly kinds = PLAIN_KINDS;
  readonly #server: BucketServer;
  readonly #places: Places;

  private constructor(server: BucketServer, places: Places, { world, start }: Beginning) {
    this.#server = server;
    this.#places = places;
    this.world = world;
    this.start = start;
  }

  static async open(): Promise<LocalScene> {
    const server = await BucketServer.open();
    const options = {
      endpoint: server.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
    const at = async (prefix: string): Promise<S3ObjectStore> =>
      new S3ObjectStore(await connectS3(options), { bucket: 'bucket', prefix });
    const places = { vault: await at('vault/'), copy: await at('copy/') };
    const world = await newWorld({
      vault: new MemoryObjectStore(),
      copy: new MemoryObjectStore(),
    });
    return new LocalScene(server, places, await beginningOf(world));
  }

  get objects(): ReadonlyMap<string, Uint8Array> {
    return this.#server.objects;
  }

  async begin(): Promise<Places> {
    this.#server.objects.clear();
    for (const [key, content] of this.start) {
      this.#server.objects.set(key, content);
    }
    return this.#places;
  }

  async truth(): Promise<Places> {
    const truth = { vault: new MemoryObjectStore(), copy: new MemoryObjectStore() };
    for (const [key, content] of this.objects) {
      const place = key.startsWith('vault/') ? truth.vault : truth.copy;
      await place.put(key.slice(key.indexOf('/') + 1), content, signal);
    }
    return truth;
  }

  follow(liar?: Liar): void {
    this.#server.follow(liar);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#places.vault.close();
    await this.#places.copy.close();
    await this.#server.close();
  }
}

export interface Beginning {
  readonly world: World;
  readonly start: ReadonlyMap<string, Uint8Array>;
}

export async function beginningOf(world: World): Promise<Beginning> {
  const start = new Map([
    ...(await objectsOf(world.vault, 'vault/')),
    ...(await objectsOf(world.copy, 'copy/')),
  ]);
  return { world, start };
}

async function objectsOf(store: ObjectStore, prefix: string): Promise<Objects> {
  const objects: Objects = new Map();
  for await (const { key } of store.list('', signal)) {
    objects.set(prefix + key, (await store.get(key, signal)) ?? new Uint8Array());
  }
  return objects;
}
