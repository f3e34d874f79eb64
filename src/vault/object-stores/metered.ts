import type {
  ObjectEntry,
  ObjectKey,
  ObjectPart,
  ObjectRange,
  ObjectStore,
  PutOptions,
} from '../store/object-store.ts';
import { StoreLayer } from '../store/store-layer.ts';
import { addTraffic, NO_TRAFFIC, type StoreTraffic } from './traffic.ts';

export type { StoreTraffic } from './traffic.ts';

/** S3 answers a list in pages of this many objects. */
const LIST_PAGE_ENTRIES = 1000;

/** Counts what goes through it, failed requests too. */
export class MeteredObjectStore extends StoreLayer {
  readonly #onTraffic: (more: Partial<StoreTraffic>) => void;
  readonly #byPrefix = new Map<string, StoreTraffic>();
  #traffic = NO_TRAFFIC;

  /**
   * @param onTraffic called with each request before it is sent, which it can stop by throwing, and
   *   then with its answer
   */
  constructor(
    store: ObjectStore,
    onTraffic: (more: Partial<StoreTraffic>) => void = () => undefined,
  ) {
    super(store);
    this.#onTraffic = onTraffic;
  }

  /** Total so far. */
  get traffic(): StoreTraffic {
    return this.#traffic;
  }

  /** Total so far by the first part of the keys, with its slash. */
  get byPrefix(): Readonly<Record<string, StoreTraffic>> {
    return Object.fromEntries(this.#byPrefix);
  }

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    this.#add(key, { puts: 1, sentBytes: data.length });
    await this.store.put(key, data, signal, options);
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    this.#add(key, { gets: 1 });
    const data = await this.store.get(key, signal);
    this.#add(key, { receivedBytes: data?.length ?? 0 });
    return data;
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    this.#add(key, { gets: 1 });
    const part = await this.store.getRange(key, range, signal);
    this.#add(key, { receivedBytes: part?.data.length ?? 0 });
    return part;
  }

  override localFile(key: ObjectKey, wantedBytes: number): string | undefined {
    const path = this.store.localFile?.(key, wantedBytes);
    if (path !== undefined) {
      this.#add(key, { gets: 1, receivedBytes: wantedBytes });
    }
    return path;
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    this.#add(prefix, { lists: 1 });
    let entries = 0;
    for await (const entry of this.store.list(prefix, signal)) {
      if (entries > 0 && entries % LIST_PAGE_ENTRIES === 0) {
        this.#add(prefix, { lists: 1 });
      }
      entries += 1;
      yield entry;
    }
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    this.#add(key, { removes: 1 });
    await this.store.remove(key, signal);
  }

  #add(key: string, more: Partial<StoreTraffic>): void {
    this.#onTraffic(more);
    this.#traffic = addTraffic(this.#traffic, more);
    const prefix = key.slice(0, key.indexOf('/') + 1);
    this.#byPrefix.set(prefix, addTraffic(this.#byPrefix.get(prefix) ?? NO_TRAFFIC, more));
  }
}
