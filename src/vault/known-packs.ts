import { isFault } from '../kernel/fault.ts';
import type { FooterCache } from './footer-cache.ts';
import { packKey, PREFIXES } from './layout.ts';
import type { ObjectKey } from './object-store.ts';
import type { PackFooter } from './pack-layout.ts';
import { PACK_USABLE } from './pack-numbers.ts';
import type { Packs } from './packs.ts';

/**
 * The data packs that this machine can learn: from the store, from its cache where that is complete, or from
 * its cache alone where it may write packs and not read them. What it does not know is stored again.
 */
export class KnownPacks {
  readonly #packs: Packs;
  readonly #cache: FooterCache | undefined;
  #cached: ReadonlySet<ObjectKey> = new Set();
  #mayRead = true;

  constructor(packs: Packs, cache: FooterCache | undefined) {
    this.#packs = packs;
    this.#cache = cache;
  }

  /** Keys of packs, some of which may be of metadata, and whether they were listed. */
  async keys(signal: AbortSignal): Promise<{ keys: ObjectKey[]; listed: boolean }> {
    const listed = (await this.#cache?.needsListing()) ?? true;
    const cached = (await this.#cache?.keys()) ?? [];
    this.#cached = new Set(cached);
    const keys = listed ? ((await this.#list(signal)) ?? cached) : cached;
    return { keys, listed };
  }

  /** @returns undefined for a pack that is damaged, gone, or not for this machine to read */
  async footer(pack: number, signal: AbortSignal): Promise<PackFooter | undefined> {
    const { numbers } = this.#packs.base;
    const key = packKey(numbers.name(pack));
    const isOurs = this.#cached.has(key) || numbers.state(pack) === PACK_USABLE;
    if (!this.#mayRead && !isOurs) {
      return undefined;
    }
    try {
      return (await this.#packs.open(pack, signal)).footer;
    } catch (error) {
      if (isFault(error) && error.kind === 'integrity') {
        // A damaged or vanished pack is no hit: its content will be stored again, which heals.
        await this.#cache?.remove(key);
        return undefined;
      }
      if (isFault(error, 'store.denied')) {
        // The others are not asked for: each would cost a request.
        this.#mayRead = false;
        return undefined;
      }
      throw error;
    }
  }

  async #list(signal: AbortSignal): Promise<ObjectKey[] | undefined> {
    const keys: ObjectKey[] = [];
    try {
      for await (const { key } of this.#packs.base.store.list(PREFIXES.data, signal)) {
        keys.push(key);
      }
      return keys;
    } catch (error) {
      if (!isFault(error, 'store.denied')) {
        throw error;
      }
      this.#mayRead = false;
      return undefined;
    }
  }
}
