import { Worker } from 'node:worker_threads';
import { DedupIndex } from '../../../src/vault/index/dedup-index.ts';
import { FooterCache } from '../../../src/vault/packs/footer-cache.ts';
import { KeyTree } from '../../../src/vault/keys/key-tree.ts';
import { PackNumbers } from '../../../src/vault/packs/pack-numbers.ts';
import { Packs } from '../../../src/vault/packs/packs.ts';
import type { VaultBase } from '../../../src/vault/packs/vault-base.ts';
import { SlotSet } from '../../../src/vault/slots/slot-set.ts';
import type { LookupOrder, LookupResult } from './lookup.worker.ts';
import { SyntheticStore } from './synthetic-store.ts';

const { signal } = new AbortController();

/** The index of a vault that has any number of packs, and no content. */
export class IndexLab {
  readonly packs: number;
  readonly store: SyntheticStore;
  readonly numbers = new PackNumbers();
  readonly #index: DedupIndex;

  private constructor(place: IndexPlace, cache: FooterCache, entriesMax: number | undefined) {
    this.packs = place.packs;
    this.store = place.store;
    const base = { ...place, numbers: this.numbers };
    this.#index = new DedupIndex(base, new Packs(base, cache), cache, entriesMax);
  }

  /** @param entriesMax of the table in memory; what is above goes to runs */
  static async open(folder: string, packs: number, entriesMax?: number): Promise<IndexLab> {
    const keys = new KeyTree(Buffer.alloc(32, 'key'), Buffer.alloc(16, 'vault'));
    const context = { vaultId: keys.vaultId, chunkId: 'blake3', keyVersion: 0 } as const;
    const store = new SyntheticStore({ keys, context }, packs);
    return IndexLab.at({ keys, context, store, packs, cacheFolder: folder }, entriesMax);
  }

  static async at(place: IndexPlace, entriesMax?: number): Promise<IndexLab> {
    const { store, keys, cacheFolder } = place;
    const vaultId = keys.vaultId.toString('hex');
    const cache = await FooterCache.open(cacheFolder, vaultId, { place: store.identity });
    return new IndexLab(place, cache, entriesMax);
  }

  async load(): Promise<void> {
    await this.#index.load(new SlotSet(), signal);
  }

  /** Runs lookups in threads; the rate is that of all of them together. */
  async lookUp(
    pattern: LookupOrder['pattern'],
    lookups: number,
    threads = 2,
  ): Promise<{ hits: number; lookups: number; perSecond: number }> {
    const results = await Promise.all(
      Array.from({ length: threads }, async (_, seed) =>
        this.#run({ pattern, lookups, seed: seed + 1 }),
      ),
    );
    return {
      hits: results.reduce((sum, { hits }) => sum + hits, 0),
      lookups: results.reduce((sum, result) => sum + result.lookups, 0),
      perSecond: results.reduce((sum, result) => sum + (result.lookups * 1000) / result.ms, 0),
    };
  }

  async close(): Promise<void> {
    await this.#index.close();
  }

  async #run(order: Pick<LookupOrder, 'pattern' | 'lookups' | 'seed'>): Promise<LookupResult> {
    const { states } = this.numbers;
    const memory = { ...this.#index.memory, states, session: 2 };
    const workerData: LookupOrder = { ...order, memory, packs: this.packs };
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const url = new URL(`./lookup.worker.${extension}`, import.meta.url);
    const worker = new Worker(url, { workerData });
    return new Promise((resolve, reject) => {
      worker.on('error', reject);
      worker.on('message', (message: LookupResult | { need: number; mailbox: Int32Array }) => {
        if ('need' in message) {
          void this.#index.bring(message.need, signal).finally(() => {
            Atomics.store(message.mailbox, 0, 1);
            Atomics.notify(message.mailbox, 0);
          });
        } else {
          resolve(message);
        }
      });
    });
  }
}

/** A vault as far as an index needs it. */
export interface IndexPlace extends Pick<VaultBase, 'keys' | 'context'> {
  readonly store: SyntheticStore;
  readonly packs: number;
  readonly cacheFolder: string;
}
