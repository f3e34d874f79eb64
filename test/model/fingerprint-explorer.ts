import { explore, type Exploration, type Protocol } from './explorer.ts';

/** Entries of the table that may be taken. */
const LOAD_MAX = 0.9;
const BLOCK_STATES = 2 ** 14;
const { imul } = Math;

/**
 * Visits every state that `explore` visits, but remembers 64 bits of each instead of all of it, and
 * goes deep first, so that few states wait for their turn: a tenth of the memory. Two states that
 * share their 64 bits count as one; with n states that happens somewhere with a chance of about
 * n * n / 2^65 (0.5 % for 400 million). What it finds broken is found again by `explore`, which
 * knows the shortest way there.
 * @param statesMax states remembered at most; 9 to 18 bytes each are set aside
 */
export function exploreByFingerprints(protocol: Protocol, statesMax: number): Exploration {
  const seen = new Fingerprints(statesMax, protocol.size);
  const waiting = new Stack(protocol.size);
  const add = (state: Uint16Array): void => {
    if (seen.add(state)) {
      waiting.push(state);
    }
  };
  add(protocol.initial());
  const current = new Uint16Array(protocol.size);
  let visited = 0;
  while (waiting.count > 0) {
    waiting.pop(current);
    if (protocol.broken(current) !== undefined) {
      return explore(protocol, Infinity);
    }
    if (seen.count >= statesMax) {
      return { states: visited, complete: false };
    }
    visited += 1;
    protocol.steps(current, add);
  }
  return { states: visited, complete: true };
}

/** A set of 64-bit fingerprints of states, open addressing. */
class Fingerprints {
  count = 0;
  readonly #low: Uint32Array;
  readonly #high: Uint32Array;
  readonly #mask: number;
  readonly #size: number;

  constructor(statesMax: number, size: number) {
    const entries = 2 ** Math.ceil(Math.log2(statesMax / LOAD_MAX));
    this.#low = new Uint32Array(entries);
    this.#high = new Uint32Array(entries);
    this.#mask = entries - 1;
    this.#size = size;
  }

  /** @returns false if it was there */
  add(state: Uint16Array): boolean {
    let low = 0x9e3779b9;
    let high = 0x85ebca6b;
    for (let field = 0; field < this.#size; field++) {
      const value = state[field]!;
      low = imul(low ^ value, 0xcc9e2d51);
      low = (low << 15) | (low >>> 17);
      high = imul(high ^ value, 0x1b873593);
      high = (high << 13) | (high >>> 19);
      high = (high + low) | 0;
    }
    low = final(low);
    // 0 is a free entry.
    high = final(high ^ low) || 1;
    let at = low & this.#mask;
    for (let found = this.#high[at]!; found !== 0; found = this.#high[at]!) {
      if (found === high && this.#low[at] === low) {
        return false;
      }
      at = (at + 1) & this.#mask;
    }
    this.#low[at] = low;
    this.#high[at] = high;
    this.count += 1;
    return true;
  }
}

function final(hash: number): number {
  let mixed = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** States that were found and not visited yet. */
class Stack {
  count = 0;
  readonly #size: number;
  readonly #blocks: Uint16Array[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  push(state: Uint16Array): void {
    const block = Math.floor(this.count / BLOCK_STATES);
    if (block === this.#blocks.length) {
      this.#blocks.push(new Uint16Array(BLOCK_STATES * this.#size));
    }
    this.#blocks[block]!.set(state, (this.count % BLOCK_STATES) * this.#size);
    this.count += 1;
  }

  pop(target: Uint16Array): void {
    this.count -= 1;
    const block = this.#blocks[Math.floor(this.count / BLOCK_STATES)]!;
    const start = (this.count % BLOCK_STATES) * this.#size;
    for (let field = 0; field < this.#size; field++) {
      target[field] = block[start + field]!;
    }
  }
}
