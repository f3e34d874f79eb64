import { isFault, isIntegrity } from '../../kernel/fault.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import { packKey, parsePackKey, PREFIXES } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import { PACK_USABLE } from '../packs/pack-numbers.ts';
import type { Packs } from '../packs/packs.ts';

/**
 * Finds the data packs that this machine can learn: from the store, from its cache if that is
 * complete, or from its cache alone if the machine may write packs but not read them. Chunks of
 * packs that it does not know are stored again.
 */
export class KnownPacks {
  readonly #packs: Packs;
  readonly #cache: FooterCache | undefined;
  /** Set once reading packs was refused: the packs that need not be read. */
  #readable: ReadonlySet<ObjectKey> | undefined;

  constructor(packs: Packs, cache: FooterCache | undefined) {
    this.#packs = packs;
    this.#cache = cache;
  }

  /** Returns the numbers of the data packs, and whether they were listed. */
  async data(signal: AbortSignal): Promise<{ packs: number[]; listed: boolean }> {
    let cached = (await this.#needListing()) ? undefined : await this.#cached();
    if (cached !== undefined && (await this.#needListing())) {
      // The cache failed before its end was read.
      cached = undefined;
    }
    const listed = cached === undefined;
    return { packs: cached ?? (await this.#list(signal)) ?? (await this.#cached()), listed };
  }

  async #needListing(): Promise<boolean> {
    return (await this.#cache?.needsListing()) ?? true;
  }

  /** @returns undefined for a pack that is damaged or gone, or that this machine may not read */
  async footer(pack: number, signal: AbortSignal): Promise<PackFooter | undefined> {
    const { numbers } = this.#packs.base;
    const key = packKey(numbers.name(pack));
    const isOurs = this.#readable?.has(key) ?? true;
    if (!isOurs && numbers.state(pack) !== PACK_USABLE) {
      return undefined;
    }
    try {
      return (await this.#packs.open(pack, signal)).footer;
    } catch (error) {
      if (isIntegrity(error)) {
        // A damaged or vanished pack gives no hits: its content is stored again, which heals it.
        await this.#cache?.remove(key);
        return undefined;
      }
      if (isFault(error, 'store.denied')) {
        // Asks for no other pack: each would cost a request.
        await this.#mayNotRead();
        return undefined;
      }
      throw error;
    }
  }

  async #list(signal: AbortSignal): Promise<number[] | undefined> {
    const { store, numbers } = this.#packs.base;
    const packs: number[] = [];
    try {
      for await (const { key } of store.list(PREFIXES.data, signal)) {
        const name = parsePackKey(key);
        if (name?.kind === 'data') {
          packs.push(numbers.of(name));
        }
      }
      return packs;
    } catch (error) {
      if (!isFault(error, 'store.denied')) {
        throw error;
      }
      await this.#mayNotRead();
      return undefined;
    }
  }

  async #cached(): Promise<number[]> {
    const packs: number[] = [];
    for await (const name of this.#cache?.packs() ?? []) {
      if (name.kind === 'data') {
        packs.push(this.#packs.base.numbers.of(name));
      }
    }
    return packs;
  }

  async #mayNotRead(): Promise<void> {
    const readable = new Set<ObjectKey>();
    for await (const name of this.#cache?.packs() ?? []) {
      readable.add(packKey(name));
    }
    this.#readable = readable;
  }
}
