import { isFault } from '../../../src/kernel/fault.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { seededNumbers } from '../random/seeded-numbers.ts';
import { PASSPHRASE, signal } from '../vault/vault-lab.ts';
import type { BucketRequest } from './bucket-requests.ts';
import type { Command, Places } from './commands.ts';
import { allLies, areaOf, liarOf, type Plan } from './lies.ts';
import { LocalScene, type Objects, type Scene } from './scene.ts';

/** How one command ended that was lied to. */
export interface Trial extends Plan {
  readonly command: string;
  /** `unmet`: the command did not come to the request. */
  readonly outcome: 'refused' | 'done' | 'unmet' | 'wrong';
  /** The code of the fault; what is wrong. */
  readonly detail: string;
}

/**
 * Runs commands against an S3 server that lies about one kind of request, and checks what is left.
 */
export class LieTrials implements AsyncDisposable {
  readonly #scene: Scene;
  /** By command: what it requests from which part of the vault. */
  readonly #asked = new Map<string, ReadonlyMap<string, number>>();
  readonly #random: (limit: number) => number;

  private constructor(scene: Scene, seed: number) {
    this.#scene = scene;
    this.#random = seededNumbers(seed);
  }

  static async open(seed: number, scene?: Scene): Promise<LieTrials> {
    return new LieTrials(scene ?? (await LocalScene.open()), seed);
  }

  /**
   * All pairs of a command and a lie, each told about one part of the vault that the command asks
   * for.
   */
  async *all(
    rounds: number,
    only: {
      readonly command?: string | undefined;
      readonly kind?: string | undefined;
      readonly lie?: string | undefined;
    },
  ): AsyncIterable<Trial> {
    const { command: named, kind: ofKind, lie: ofLie } = only;
    const commands = Object.keys(this.#scene.commands).filter((name) => (named ?? name) === name);
    const lies = allLies(this.#scene.kinds).filter(
      ({ kind, lie }) => (ofKind ?? kind) === kind && (ofLie ?? lie) === lie,
    );
    for (let round = 0; round < rounds; round++) {
      for (const command of commands) {
        for (const { kind, lie } of lies) {
          yield await this.#trial(command, { kind, lie });
        }
      }
    }
  }

  /** Runs this many of them, drawn. */
  async *some(count: number): AsyncIterable<Trial> {
    const commands = Object.keys(this.#scene.commands);
    const lies = allLies(this.#scene.kinds);
    for (let i = 0; i < count; i++) {
      const command = commands[i % commands.length] ?? '';
      const { kind, lie } = lies[this.#random(lies.length)] ?? { kind: 'list', lie: 'empty' };
      yield await this.#trial(command, { kind, lie });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scene[Symbol.asyncDispose]();
  }

  async #trial(name: string, { kind, lie }: Pick<Plan, 'kind' | 'lie'>): Promise<Trial> {
    const command = this.#scene.commands[name];
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
    const { world } = this.#scene;
    const places = await this.#scene.begin();
    const before = this.#aWhileAgo();
    const { objects } = this.#scene;
    const { liar, told } = liarOf(plan, { objects, before, random: this.#random });
    this.#scene.follow(liar);
    let proveDone: ((truth: Places) => Promise<void>) | undefined;
    let code = '';
    try {
      proveDone = await command.run(world, places);
    } catch (error) {
      if (!isFault(error)) {
        return { outcome: 'wrong', detail: `no fault but ${String(error)}` };
      }
      ({ code } = error);
    } finally {
      this.#scene.follow();
    }
    try {
      await this.#proveNothingLost(command);
      await proveDone?.(await this.#scene.truth());
    } catch (error) {
      return { outcome: 'wrong', detail: `${code} ${String(error)}` };
    }
    const met = told() > 0 ? (proveDone === undefined ? 'refused' : 'done') : 'unmet';
    return { outcome: met, detail: code };
  }

  /**
   * Proves that all points that stood before and that the command does not give up still stand and
   * are whole, also in the copy.
   */
  async #proveNothingLost(command: Command): Promise<void> {
    const { world } = this.#scene;
    const { points, retired } = world;
    const gone = [retired, ...(command.givesUp?.(world) ?? [])];
    const truth = await this.#scene.truth();
    for (const place of ['vault', 'copy'] as const) {
      const store = truth[place];
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

  /** Without what came last: the newest point and the retirement, or any part of it. */
  #aWhileAgo(): Objects {
    const [, , , newest = ''] = this.#scene.world.points;
    const share = this.#random(3);
    return new Map(
      [...this.#scene.start].filter(
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
    const places = await this.#scene.begin();
    const counts = new Map<string, number>();
    const count = ({ kind, key }: BucketRequest): void => {
      const what = `${kind} ${areaOf(key)}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    };
    this.#scene.follow((request, truth) => {
      count(request);
      return truth();
    });
    const proveDone = await command.run(this.#scene.world, places);
    this.#scene.follow();
    await this.#proveNothingLost(command);
    await proveDone(await this.#scene.truth());
    this.#asked.set(name, counts);
    return counts;
  }
}

/** Opens with the old passphrase, or with the one that a command may have set. */
async function openEither(store: ObjectStore, other: string | undefined): Promise<Vault> {
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
