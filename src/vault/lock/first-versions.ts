import { Fault } from '../../kernel/fault.ts';
import type { BucketFeatures, ObjectVersion } from '../bucket-features.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
} from '../object-store.ts';

const PAGE_ENTRIES = 1000;

/** The first version of a key, and what happened to it since. */
export interface FirstVersion extends ObjectEntry {
  readonly versionId: string;
  /** Somebody put a delete marker on it: a plain listing does not show it. */
  readonly isHidden: boolean;
  /** A later version has another size: what is written once was written over. */
  readonly isOverwritten: boolean;
}

/**
 * A bucket as it was written: of every key the first version, whatever was put over it or whether
 * it was removed. A vault writes every object once, so this is the truth after somebody with the
 * right to put and to delete (but not to destroy versions) did harm. For reading only. What is
 * listed once is not listed again.
 */
export class FirstVersionStore extends ObjectStore {
  override readonly location: string;
  readonly #store: ObjectStore;
  readonly #features: BucketFeatures;
  /** By the first part of the keys, with its slash. */
  readonly #listed = new Map<string, Promise<Map<ObjectKey, FirstVersion>>>();
  readonly #requests = { lists: 0, gets: 0 };

  /** @throws Fault `store.refused` if this store keeps no versions */
  constructor(store: ObjectStore) {
    super();
    if (store.features === undefined) {
      throw new Fault(
        'store.refused',
        `${store.location} keeps no versions of its objects. Leave --first-version out.`,
      );
    }
    this.#store = store;
    this.#features = store.features;
    this.location = store.location;
  }

  /** Its footers are kept apart from those of the latest versions. */
  override get identity(): string {
    return `${this.#store.identity}#first`;
  }

  get requests(): { readonly lists: number; readonly gets: number } {
    return this.#requests;
  }

  override async put(): Promise<void> {
    return Promise.reject(this.#readOnly());
  }

  override async remove(): Promise<void> {
    return Promise.reject(this.#readOnly());
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return (await this.#read(key, undefined, signal))?.data;
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    return this.#read(key, range, signal);
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    for (const { key, size } of await this.versions(prefix, signal)) {
      yield { key, size };
    }
  }

  /** The first versions of all keys with this prefix, in the order of keys. */
  async versions(prefix: string, signal: AbortSignal): Promise<FirstVersion[]> {
    const part = partOf(prefix);
    const all = await (part === '' ? this.#all(signal) : this.#part(part, signal));
    return [...all.values()].filter(({ key }) => key.startsWith(prefix));
  }

  override async close(): Promise<void> {
    await this.#store.close();
  }

  async #read(
    key: ObjectKey,
    range: ObjectRange | undefined,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    const version = (await this.#part(partOf(key), signal)).get(key);
    if (version === undefined) {
      return undefined;
    }
    this.#requests.gets += 1;
    return this.#features.getVersion(version, range, signal);
  }

  async #all(signal: AbortSignal): Promise<Map<ObjectKey, FirstVersion>> {
    return this.#listVersions('', signal);
  }

  async #part(part: string, signal: AbortSignal): Promise<Map<ObjectKey, FirstVersion>> {
    let listing = this.#listed.get(part);
    if (listing === undefined) {
      listing = this.#listVersions(part, signal);
      this.#listed.set(part, listing);
      listing.catch(() => this.#listed.delete(part));
    }
    return listing;
  }

  async #listVersions(prefix: string, signal: AbortSignal): Promise<Map<ObjectKey, FirstVersion>> {
    // Before the versions: what is put meanwhile is no question.
    const there = await this.#latest(prefix, signal);
    const first = new Map<ObjectKey, FirstVersion>();
    const hidden = new Set<ObjectKey>();
    let entries = 0;
    for await (const version of this.#features.listVersions(prefix, signal)) {
      entries += 1;
      if (!version.isDeleteMarker) {
        first.set(version.key, older(first.get(version.key), version));
      } else if (version.isLatest) {
        hidden.add(version.key);
      }
    }
    this.#requests.lists += pagesOf(entries) + pagesOf(there.size);
    for (const key of first.keys()) {
      there.delete(key);
    }
    await this.#requireGone(there, signal);
    const keys = [...first.keys()].sort();
    return new Map(
      keys.flatMap((key) => {
        const version = first.get(key);
        return version ? [[key, { ...version, isHidden: hidden.has(key) }] as const] : [];
      }),
    );
  }

  async #latest(prefix: string, signal: AbortSignal): Promise<Set<ObjectKey>> {
    const keys = new Set<ObjectKey>();
    for await (const { key } of this.#store.list(prefix, signal)) {
      keys.add(key);
    }
    return keys;
  }

  /**
   * A list of versions that leaves out what is there would cost its lock, or hide it from a
   * restore.
   * @throws Fault `vault.list-incomplete`
   */
  async #requireGone(keys: Iterable<ObjectKey>, signal: AbortSignal): Promise<void> {
    const range = { offset: 0, length: 1 };
    for (const key of keys) {
      this.#requests.gets += 1;
      if ((await this.#store.getRange(key, range, signal)) !== undefined) {
        throw new Fault(
          'vault.list-incomplete',
          `Nothing was removed: the list of versions of ${this.location} leaves out what is there: ${key}.`,
          { key },
        );
      }
    }
  }

  #readOnly(): Fault {
    return new Fault(
      'store.refused',
      `First versions of ${this.location} can only be read. Restore from them, or leave --first-version out.`,
    );
  }
}

/** Versions come the newest first: the last one that is met is the first one that was written. */
function older(
  newer: FirstVersion | undefined,
  { key, size, versionId }: ObjectVersion,
): FirstVersion {
  const isOverwritten = newer !== undefined && (newer.isOverwritten || newer.size !== size);
  return { key, size, versionId, isHidden: false, isOverwritten };
}

function partOf(key: string): string {
  return key.slice(0, key.indexOf('/') + 1);
}

function pagesOf(entries: number): number {
  return Math.max(1, Math.ceil(entries / PAGE_ENTRIES));
}
