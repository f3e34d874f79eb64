import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { seededNumbers } from '../../support/random/seeded-numbers.ts';
import { Scheduler, type FaultRates } from '../../support/simulated-store/scheduler.ts';
import { CountingLog, openVault, SkewedClock, START_MS, type PreparedVault } from '../lab.ts';
import { BLINDED, MutantStore, type Mutant } from '../mutant-store.ts';
import { Ledger } from './ledger.ts';

const DAY_MS = 86_400_000;

/** What all clients of a schedule share. */
export class World {
  /** Of this schedule alone: killed workers never remove their listeners from it. */
  readonly signal = new AbortController().signal;
  readonly random: (limit: number) => number;
  readonly scheduler: Scheduler;
  readonly mutant: Mutant | undefined;
  readonly ledger = new Ledger();
  readonly #key: Uint8Array;
  readonly #log = new CountingLog((event) => {
    this.ledger.count(event);
  });

  constructor({ bucket, key }: PreparedVault, seed: number, mutant: Mutant | undefined) {
    this.#key = key;
    this.mutant = mutant;
    this.random = seededNumbers(seed);
    this.scheduler = new Scheduler({
      bucket: bucket.copy(),
      random: this.random,
      faults: drawFaults(this.random),
    });
  }

  /** Opens the vault on a machine with a clock of its own; a mutant blinds its role. */
  async open(store: ObjectStore, role: 'writer' | 'collector' | 'other'): Promise<Vault> {
    const { mutant } = this;
    const isBlind = mutant !== undefined && BLINDED[mutant] === role;
    const seen = isBlind ? new MutantStore(store, mutant) : store;
    return openVault(seen, this.#key, {
      clock: new SkewedClock(START_MS + (this.random(21) - 10) * DAY_MS),
      log: this.#log,
      signal: this.signal,
    });
  }

  /** Requests without any use, during which others go on. */
  async linger(store: ObjectStore, requestsMax: number): Promise<void> {
    for (let left = this.random(requestsMax); left > 0; left--) {
      await store.get('fmt/none', this.signal);
    }
  }

  /** Undefined if there is nothing to draw from. */
  drawFrom<T>(all: readonly T[]): T | undefined {
    return all[this.random(all.length)];
  }
}

function drawFaults(random: (limit: number) => number): FaultRates {
  const rate = [0, 0.002, 0.02, 0.08][random(4)] ?? 0;
  return { lost: rate, unanswered: rate, late: rate / 2, truncated: rate / 2, denied: rate };
}
