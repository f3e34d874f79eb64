import { createHash } from 'node:crypto';
import { abortable } from '../../../src/kernel/waiting/abortable.ts';
import { Fault } from '../../../src/kernel/fault.ts';
import { refuseTooLarge } from '../../../src/vault/format/object-limit.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../../../src/vault/store/object-store.ts';
import { assertListPrefix, assertObjectKey } from '../../../src/vault/object-stores/object-key.ts';
import { resolveRange } from '../../../src/vault/object-stores/object-range.ts';
import type { SimulatedBucket } from './bucket.ts';
import type { Request, Scheduler } from './scheduler.ts';

export interface SimulatedStoreOptions {
  /** Names the client in histories; its running requests end with it. */
  readonly client: string;
  /** Objects per answer to a list. */
  readonly pageSize?: number;
}

/** One client's view of a simulated bucket. */
export class SimulatedObjectStore extends ObjectStore {
  override readonly location = 'simulated:';
  readonly #scheduler: Scheduler;
  readonly #client: string;
  readonly #pageSize: number;

  constructor(scheduler: Scheduler, { client, pageSize = 1000 }: SimulatedStoreOptions) {
    super();
    this.#scheduler = scheduler;
    this.#client = client;
    this.#pageSize = pageSize;
  }

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    { sha256 }: PutOptions = {},
  ): Promise<void> {
    signal.throwIfAborted();
    assertObjectKey(key);
    if (sha256 !== undefined && !createHash('sha256').update(data).digest().equals(sha256)) {
      throw new Fault('store.hash-mismatch', `${key} is not what its sender hashed.`, { key });
    }
    const content = Uint8Array.from(data);
    await this.#request(signal, {
      kind: 'put',
      key,
      perform: (bucket) => {
        bucket.put(key, content, this.#client);
      },
    });
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    signal.throwIfAborted();
    assertObjectKey(key);
    const object = await this.#request(signal, {
      kind: 'get',
      key,
      perform: (bucket) => bucket.get(key)?.slice(),
    });
    refuseTooLarge(key, object?.length ?? 0);
    return object;
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    signal.throwIfAborted();
    assertObjectKey(key);
    resolveRange(range, 0);
    return this.#request(signal, {
      kind: 'get',
      key,
      perform: (bucket) => {
        const object = bucket.get(key);
        if (object === undefined) {
          return undefined;
        }
        const { start, end } = resolveRange(range, object.length);
        return { data: object.slice(start, end), objectSize: object.length };
      },
    });
  }

  /** Each page is a request: between two of them objects come and go. */
  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    assertListPrefix(prefix);
    let after = '';
    for (;;) {
      signal.throwIfAborted();
      const from = after;
      const page = await this.#request(signal, {
        kind: 'list',
        key: prefix,
        perform: (bucket) => bucket.page(prefix, from, this.#pageSize),
      });
      for (const entry of page) {
        signal.throwIfAborted();
        after = entry.key;
        yield entry;
      }
      if (page.length < this.#pageSize) {
        return;
      }
    }
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertObjectKey(key);
    await this.#request(signal, {
      kind: 'remove',
      key,
      perform: (bucket) => {
        bucket.remove(key, this.#client);
      },
    });
  }

  override async close(): Promise<void> {
    // Nothing is open.
  }

  #request<Answer>(
    signal: AbortSignal,
    request: Pick<Request, 'kind' | 'key'> & { perform: (bucket: SimulatedBucket) => Answer },
  ): Promise<Answer> {
    return abortable(this.#scheduler.request({ ...request, client: this.#client }), signal);
  }
}
