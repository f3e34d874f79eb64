import type { ObjectEntry, ObjectKey } from '../../../src/vault/store/object-store.ts';

/** One version of an object; no content is a delete marker. */
export interface ObjectVersion {
  readonly content: Uint8Array | undefined;
  readonly client: string;
}

/** What must never happen in a vault, whoever does it. */
export class BrokenRule extends Error {
  override readonly name = 'BrokenRule';
}

/** `retire/`, `gc/` and `alias/` are permanent. */
const PERMANENT = /^(retire|gc|alias)\//;

/** A bucket with versions, in memory. Watches the rules that hold for every object. */
export class SimulatedBucket {
  readonly #objects = new Map<ObjectKey, ObjectVersion[]>();
  readonly brokenRules: BrokenRule[] = [];

  /** All versions of a key, oldest first. */
  versions(key: ObjectKey): readonly ObjectVersion[] {
    return this.#objects.get(key) ?? [];
  }

  get(key: ObjectKey): Uint8Array | undefined {
    return this.#objects.get(key)?.at(-1)?.content;
  }

  put(key: ObjectKey, content: Uint8Array, client: string): void {
    const versions = this.#objects.get(key) ?? [];
    this.#objects.set(key, versions);
    const first = versions.find((version) => version.content !== undefined)?.content;
    if (first !== undefined && !key.startsWith('retire/') && Buffer.compare(first, content) !== 0) {
      this.#broken(`${client} put other bytes under ${key} than were put before`);
    }
    versions.push({ content, client });
  }

  remove(key: ObjectKey, client: string): void {
    if (PERMANENT.test(key) && this.get(key) !== undefined) {
      this.#broken(`${client} removed ${key}, which is permanent`);
    }
    this.#objects.get(key)?.push({ content: undefined, client });
  }

  /** Damage of the newest version, which no client does. */
  spoil(key: ObjectKey, content: Uint8Array): void {
    const versions = this.#objects.get(key) ?? [];
    versions.push({ content, client: versions.pop()?.client ?? 'nobody' });
  }

  /** At most `limit` objects behind the key `after`, in the order of their keys. */
  page(prefix: string, after: ObjectKey, limit: number): ObjectEntry[] {
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix) && key > after);
    keys.sort();
    const entries: ObjectEntry[] = [];
    for (const key of keys) {
      const content = this.get(key);
      if (content !== undefined && entries.push({ key, size: content.length }) === limit) {
        break;
      }
    }
    return entries;
  }

  /** Another bucket with the same objects; contents are never changed and so are shared. */
  copy(): SimulatedBucket {
    const copy = new SimulatedBucket();
    for (const [key, versions] of this.#objects) {
      copy.#objects.set(key, [...versions]);
    }
    return copy;
  }

  #broken(why: string): void {
    this.brokenRules.push(new BrokenRule(why));
  }
}
