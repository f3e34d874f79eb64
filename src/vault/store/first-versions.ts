import { Fault } from '../../kernel/fault.ts';
import type { BucketFeatures, ObjectVersion } from './bucket-features.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
} from './object-store.ts';

const PAGE_ENTRIES = 1000;

/** The first version of a key, and what happened to the key since. */
export interface FirstVersion extends ObjectEntry {
  readonly versionId: string;
  /** The newest version is a delete marker, so a plain listing does not show the key. */
  readonly isHidden: boolean;
  /** A later version has another size: somebody wrote over an object that is written once. */
  readonly isOverwritten: boolean;
}

/**
 * A bucket as it was written: the first version of every key, even if it was overwritten or removed
 * later. A vault writes every object once, so the first versions are the truth after somebody with
 * the right to put and delete (but not to destroy versions) did harm. Read only. Each prefix is
 * listed once.
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

  /** Keeps its cached footers apart from those of the latest versions. */
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

  /** Returns the first versions of all keys with this prefix, in the order of keys. */
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
    // Listed before the versions, so that an object put meanwhile does not matter.
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
   * Requires that keys missing in the list of versions are gone: otherwise the list would cost an
   * object its lock, or hide it from a restore.
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

/** Versions come newest first, so the last one seen is the first that was written. */
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
