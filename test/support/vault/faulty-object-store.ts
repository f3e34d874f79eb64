import { Fault, type FaultCode } from '../../../src/kernel/fault.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../../../src/vault/store/object-store.ts';

export interface StoreRequest {
  readonly kind: 'put' | 'get' | 'list' | 'remove';
  /** For a list: its prefix. */
  readonly key: string;
  /** Counts all requests from 0. */
  readonly index: number;
}

/** How a request fails: before it has any effect, or after it. */
export type Failure = 'unreachable' | 'unreachable-after' | 'nonsense' | 'denied' | 'full' | 'dies';

/** Decides for each request whether it fails. */
export type FailureScript = (request: StoreRequest) => Failure | undefined;

const CODES = {
  unreachable: 'store.unreachable',
  'unreachable-after': 'store.unreachable',
  nonsense: 'store.nonsense',
  denied: 'store.denied',
  full: 'store.full',
} as const satisfies Record<Exclude<Failure, 'dies'>, FaultCode>;

/** Stands for the death of the process: no code of ours may catch it and go on. */
class ProcessDied extends Error {
  override readonly name = 'ProcessDied';
}

/** A store that fails as its script says. After `dies` nothing works any more. */
export class FaultyObjectStore extends ObjectStore {
  override readonly location: string;
  readonly #store: ObjectStore;
  #script: FailureScript;
  #count = 0;
  #isDead = false;

  constructor(store: ObjectStore, script: FailureScript = () => undefined) {
    super();
    this.#store = store;
    this.#script = script;
    this.location = store.location;
  }

  override get identity(): string {
    return this.#store.identity;
  }

  override isOutdated(): boolean {
    return this.#store.isOutdated();
  }

  /** Requests so far. */
  get requestCount(): number {
    return this.#count;
  }

  /** Follows another script from now on. */
  follow(script: FailureScript): void {
    this.#script = script;
  }

  override makePlace(signal: AbortSignal): Promise<void> {
    return this.#store.makePlace(signal);
  }

  override put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    return this.#run('put', key, () => this.#store.put(key, data, signal, options));
  }

  override get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#run('get', key, () => this.#store.get(key, signal));
  }

  override getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    return this.#run('get', key, () => this.#store.getRange(key, range, signal));
  }

  /** With `unreachable-after` a list shows its first half and then breaks off. */
  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    const failure = this.#next('list', prefix);
    if (failure !== undefined && failure !== 'unreachable-after') {
      throw this.#errorOf(failure, prefix);
    }
    const entries = await Array.fromAsync(this.#store.list(prefix, signal));
    if (failure === undefined) {
      yield* entries;
      return;
    }
    yield* entries.slice(0, Math.ceil(entries.length / 2));
    throw this.#errorOf(failure, prefix);
  }

  override remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    return this.#run('remove', key, () => this.#store.remove(key, signal));
  }

  override close(): Promise<void> {
    return this.#store.close();
  }

  async #run<Result>(
    kind: StoreRequest['kind'],
    key: string,
    operation: () => Promise<Result>,
  ): Promise<Result> {
    const failure = this.#next(kind, key);
    if (failure === undefined) {
      return operation();
    }
    if (failure === 'unreachable-after') {
      await operation();
    }
    throw this.#errorOf(failure, key);
  }

  #next(kind: StoreRequest['kind'], key: string): Failure | undefined {
    const index = this.#count;
    this.#count += 1;
    const failure = this.#isDead ? 'dies' : this.#script({ kind, key, index });
    this.#isDead ||= failure === 'dies';
    return failure;
  }

  #errorOf(failure: Failure, key: string): Error {
    return failure === 'dies'
      ? new ProcessDied(`died at ${key}`)
      : new Fault(CODES[failure], `${key}: ${failure}, by the test's script.`, { key });
  }
}

/** Dies instead of the n-th put or removal (from 0): the `n` before it took place. */
export function diesAfterWrites(n: number): FailureScript {
  let writes = 0;
  return ({ kind }) => {
    if (kind !== 'put' && kind !== 'remove') {
      return undefined;
    }
    writes += 1;
    return writes > n ? 'dies' : undefined;
  };
}

/**
 * Each request fails with `probability`, half of them after taking effect. Same seed, same
 * failures.
 */
export function failsSometimes(probability: number, seed: number): FailureScript {
  const random = seeded(seed);
  return () => {
    const drawn = random();
    if (drawn >= probability) {
      return undefined;
    }
    return drawn < probability / 2 ? 'unreachable' : 'unreachable-after';
  };
}

/** mulberry32: numbers of [0, 1). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
