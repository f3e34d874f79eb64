// Looks ids of a synthetic vault up as a worker of a vault does, and says how fast.
import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import { ChunkLookup, type LookupMemory } from '../../../src/vault/index/chunk-lookup.ts';
import { idWords } from '../../../src/vault/index/index-table.ts';
import { seededNumbers } from '../random/seeded-numbers.ts';
import { CHUNK_SECTORS, PACK_SLOTS, syntheticIds } from './synthetic-store.ts';

export interface LookupOrder {
  readonly memory: LookupMemory;
  readonly packs: number;
  readonly lookups: number;
  readonly seed: number;
  /**
   * `again`: whole packs in their order; `new`: ids of no pack; `random`: single ids of anywhere.
   */
  readonly pattern: 'again' | 'new' | 'random';
}

export interface LookupResult {
  readonly lookups: number;
  readonly hits: number;
  readonly ms: number;
}

assert(parentPort !== null);
const port = parentPort;
const { memory, packs, lookups, seed, pattern } = workerData as LookupOrder;
const next = seededNumbers(seed);
const lookUp = new ChunkLookup((need) => {
  const mailbox = new Int32Array(new SharedArrayBuffer(4));
  port.postMessage({ need, mailbox });
  Atomics.wait(mailbox, 0, 0, 30_000);
}).use(memory);
let hits = 0;
let done = 0;
let ms = 0;
while (done < lookups) {
  const pack = pattern === 'new' ? packs + next(2 ** 30) : next(packs);
  const ids = syntheticIds(pack);
  const slots =
    pattern === 'random'
      ? [next(PACK_SLOTS)]
      : Array.from({ length: PACK_SLOTS }, (_, slot) => slot);
  const startMs = performance.now();
  for (const slot of slots) {
    const found = lookUp(idWords(ids.subarray(slot * 16, slot * 16 + 16)), CHUNK_SECTORS);
    hits += found?.slot === slot ? 1 : 0;
  }
  ms += performance.now() - startMs;
  done += slots.length;
}
port.postMessage({ lookups: done, hits, ms } satisfies LookupResult);
