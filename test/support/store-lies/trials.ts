import { isFault } from '../../../src/kernel/fault.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3-client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3.ts';
import { MemoryObjectStore } from '../../../src/vault/object-stores/memory.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { seededNumbers } from '../seeded-numbers.ts';
import { PASSPHRASE, signal } from '../vault-lab.ts';
import { BucketServer, type BucketRequest } from './bucket-server.ts';
import { COMMANDS, newWorld, type Command, type Places, type World } from './commands.ts';
import { allLies, areaOf, liarOf, type Plan } from './lies.ts';

/** What became of one command that was lied to. */
export interface Trial extends Plan {
  readonly command: string;
  /** `unmet`: the command did not come to the request. */
  readonly outcome: 'refused' | 'done' | 'unmet' | 'wrong';
  /** The code of the fault; what is wrong. */
  readonly detail: string;
}

type Objects = Map<string, Uint8Array>;

/** Runs commands against an S3 server that lies about one kind of request, and looks what is left. */
export class LieTrials implements AsyncDisposable {
  readonly #server: BucketServer;
  readonly #places: Places;
  readonly #world: World;
  readonly #start: ReadonlyMap<string, Uint8Array>;
  /** Per command what it asks of which part of the vault. */
  readonly #asked = new Map<string, ReadonlyMap<string, number>>();
  readonly #random: (limit: number) => number;

  private constructor(
    server: BucketServer,
    places: Places,
    {
      world,
      start,
      seed,
    }: { readonly world: World; readonly start: Objects; readonly seed: number },
  ) {
    this.#server = server;
    this.#places = places;
    this.#world = world;
    this.#start = start;
    this.#random = seededNumbers(seed);
  }

  static async open(seed: number): Promise<LieTrials> {
    const server = await BucketServer.open();
    const options = {
      endpoint: server.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
    const at = async (prefix: string): Promise<S3ObjectStore> =>
      new S3ObjectStore(await connectS3(options), { bucket: 'bucket', prefix });
    const world = await newWorld();
    const start: Objects = new Map([
      ...(await objectsOf(world.vault, 'vault/')),
      ...(await objectsOf(world.copy, 'copy/')),
    ]);
    const places = { vault: await at('vault/'), copy: await at('copy/') };
    return new LieTrials(server, places, { world, start, seed });
  }

  /** All pairs of a command and a lie, each told about one part of the vault that the command asks for. */
  async *all(
    rounds: number,
    only: { readonly command?: string | undefined; readonly kind?: string | undefined },
  ): AsyncIterable<Trial> {
    const { command: named, kind: ofKind } = only;
    const commands = Object.keys(COMMANDS).filter((name) => (named ?? name) === name);
    const lies = allLies().filter(({ kind }) => (ofKind ?? kind) === kind);
    for (let round = 0; round < rounds; round++) {
      for (const command of commands) {
        for (const { kind, lie } of lies) {
          yield await this.#trial(command, { kind, lie });
        }
      }
    }
  }

  /** So many of them, drawn. */
  async *some(count: number): AsyncIterable<Trial> {
    const commands = Object.keys(COMMANDS);
    const lies = allLies();
    for (let i = 0; i < count; i++) {
      const command = commands[i % commands.length] ?? '';
      const { kind, lie } = lies[this.#random(lies.length)] ?? { kind: 'list', lie: 'empty' };
      yield await this.#trial(command, { kind, lie });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#places.vault.close();
    await this.#places.copy.close();
    await this.#server.close();
  }

  async #trial(name: string, { kind, lie }: Pick<Plan, 'kind' | 'lie'>): Promise<Trial> {
    const command = COMMANDS[name];
    if (command === undefined) {
      throw new TypeError(`no command ${name}`);
    }
    const asked = await this.#requestsOf(name, command);
    const areas = [...asked.keys()].filter((key) => key.startsWith(`${kind} `));
    const chosen = areas[this.#random(Math.max(1, areas.length))];
    const plan: Plan = {
      kind,
      lie,
      area: chosen?.slice(kind.length + 1) ?? '',
      from: this.#random(3) === 0 ? this.#random(asked.get(chosen ?? '') ?? 1) : 0,
      times: this.#random(2) === 0 ? Infinity : 1 + this.#random(2),
    };
    if (chosen === undefined) {
      return { ...plan, command: name, outcome: 'unmet', detail: '' };
    }
    return { ...plan, command: name, ...(await this.#judge(command, plan)) };
  }

  async #judge(command: Command, plan: Plan): Promise<Pick<Trial, 'outcome' | 'detail'>> {
    this.#restore();
    const before = this.#aWhileAgo();
    const { liar, told } = liarOf(plan, this.#server, { before, random: this.#random });
    this.#server.follow(liar);
    let proveDone: ((truth: Places) => Promise<void>) | undefined;
    let code = '';
    try {
      proveDone = await command.run(this.#world, this.#places);
    } catch (error) {
      if (!isFault(error)) {
        return { outcome: 'wrong', detail: `no fault but ${String(error)}` };
      }
      ({ code } = error);
    } finally {
      this.#server.follow();
    }
    try {
      await this.#proveNothingLost(command);
      await proveDone?.(await this.#truth());
    } catch (error) {
      return { outcome: 'wrong', detail: `${code} ${String(error)}` };
    }
    const met = told() > 0 ? (proveDone === undefined ? 'refused' : 'done') : 'unmet';
    return { outcome: met, detail: code };
  }

  /** All points that stood before and that the command does not give up stand and are whole, also in the copy. */
  async #proveNothingLost(command: Command): Promise<void> {
    const { points, retired } = this.#world;
    const gone = [retired, ...(command.givesUp?.(this.#world) ?? [])];
    const truth = await this.#truth();
    for (const [place, store] of Object.entries(truth)) {
      const vault = await openEither(store, command.opensWith);
      const there = (await vault.points(signal)).map(({ id }) => id);
      for (const id of points.filter((point) => !gone.includes(point))) {
        if (!there.includes(id)) {
          throw new Error(`the point ${id} is gone from the ${place}`);
        }
        const { ok, problems } = await vault.verify(id, 3, { signal });
        if (!ok) {
          throw new Error(
            `the point ${id} of the ${place} is damaged: ${JSON.stringify(problems)}`,
          );
        }
      }
      await vault.close();
    }
  }

  async #truth(): Promise<{ vault: MemoryObjectStore; copy: MemoryObjectStore }> {
    const truth = { vault: new MemoryObjectStore(), copy: new MemoryObjectStore() };
    for (const [key, content] of this.#server.objects) {
      const place = key.startsWith('vault/') ? truth.vault : truth.copy;
      await place.put(key.slice(key.indexOf('/') + 1), content, signal);
    }
    return truth;
  }

  #restore(): void {
    this.#server.objects.clear();
    for (const [key, content] of this.#start) {
      this.#server.objects.set(key, content);
    }
  }

  /** Without what came last: the newest point and the retirement, or any part of it. */
  #aWhileAgo(): Objects {
    const [, , , newest = ''] = this.#world.points;
    const share = this.#random(3);
    return new Map(
      [...this.#start].filter(
        ([key]) => !(key.includes(newest) || (share > 0 && key.includes('/retire/'))),
      ),
    );
  }

  /** What the command asks of a server that tells the truth. */
  async #requestsOf(name: string, command: Command): Promise<ReadonlyMap<string, number>> {
    const known = this.#asked.get(name);
    if (known !== undefined) {
      return known;
    }
    this.#restore();
    const counts = new Map<string, number>();
    const count = ({ kind, key }: BucketRequest): void => {
      const what = `${kind} ${areaOf(key)}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    };
    this.#server.follow((request, truth) => {
      count(request);
      return truth();
    });
    const proveDone = await command.run(this.#world, this.#places);
    this.#server.follow();
    await this.#proveNothingLost(command);
    await proveDone(await this.#truth());
    this.#asked.set(name, counts);
    return counts;
  }
}

async function objectsOf(store: MemoryObjectStore, prefix: string): Promise<Objects> {
  const objects: Objects = new Map();
  for await (const { key } of store.list('', signal)) {
    objects.set(prefix + key, (await store.get(key, signal)) ?? new Uint8Array());
  }
  return objects;
}

/** With the passphrase of before, or with the one that a command may have put in its place. */
async function openEither(store: MemoryObjectStore, other: string | undefined): Promise<Vault> {
  const open = (passphrase: string): Promise<Vault> =>
    Vault.open(store, { kind: 'passphrase', passphrase }, { workers: 0 }, signal);
  try {
    return await open(PASSPHRASE);
  } catch (error) {
    if (other === undefined) {
      throw error;
    }
    return open(other);
  }
}
