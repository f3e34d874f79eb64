import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../object-store.ts';

/** S3 answers a list in pages of this many objects. */
const LIST_PAGE_ENTRIES = 1000;

export interface StoreTraffic {
  /** Requests by kind; a list counts once per page, as S3 would charge it. */
  readonly puts: number;
  readonly gets: number;
  readonly lists: number;
  readonly removes: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

const NOTHING: StoreTraffic = {
  puts: 0,
  gets: 0,
  lists: 0,
  removes: 0,
  sentBytes: 0,
  receivedBytes: 0,
};

/** Counts what goes through it, failed requests too. */
export class MeteredObjectStore extends ObjectStore {
  override readonly location: string;
  override readonly wantsHash: boolean;
  readonly #store: ObjectStore;
  #traffic = NOTHING;

  constructor(store: ObjectStore) {
    super();
    this.#store = store;
    this.location = store.location;
    this.wantsHash = store.wantsHash;
  }

  override get identity(): string {
    return this.#store.identity;
  }

  /** Everything so far. */
  get traffic(): StoreTraffic {
    return this.#traffic;
  }

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    this.#add({ puts: 1, sentBytes: data.length });
    await this.#store.put(key, data, signal, options);
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    this.#add({ gets: 1 });
    const data = await this.#store.get(key, signal);
    this.#add({ receivedBytes: data?.length ?? 0 });
    return data;
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    this.#add({ gets: 1 });
    const part = await this.#store.getRange(key, range, signal);
    this.#add({ receivedBytes: part?.data.length ?? 0 });
    return part;
  }

  override localFile(key: ObjectKey, wantedBytes: number): string | undefined {
    const path = this.#store.localFile?.(key, wantedBytes);
    if (path !== undefined) {
      this.#add({ gets: 1, receivedBytes: wantedBytes });
    }
    return path;
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    this.#add({ lists: 1 });
    let entries = 0;
    for await (const entry of this.#store.list(prefix, signal)) {
      if (entries > 0 && entries % LIST_PAGE_ENTRIES === 0) {
        this.#add({ lists: 1 });
      }
      entries += 1;
      yield entry;
    }
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    this.#add({ removes: 1 });
    await this.#store.remove(key, signal);
  }

  override close(): Promise<void> {
    return this.#store.close();
  }

  #add(more: Partial<StoreTraffic>): void {
    const { puts, gets, lists, removes, sentBytes, receivedBytes } = this.#traffic;
    this.#traffic = {
      puts: puts + (more.puts ?? 0),
      gets: gets + (more.gets ?? 0),
      lists: lists + (more.lists ?? 0),
      removes: removes + (more.removes ?? 0),
      sentBytes: sentBytes + (more.sentBytes ?? 0),
      receivedBytes: receivedBytes + (more.receivedBytes ?? 0),
    };
  }
}
