/** Takes states as they are found; `next` is only valid during the call. */
export type Found = (next: Uint16Array, label: string) => void;

/**
 * A system of processes: a state is `size` numbers of 16 bits, and everything else is in the code.
 */
export interface Protocol {
  readonly size: number;
  initial(): Uint16Array;
  /** Calls `found` for every step that any process can take in `state`. */
  steps(state: Uint16Array, found: Found): void;
  /** Returns what must never be true, in words; undefined if all is well. */
  broken(state: Uint16Array): string | undefined;
}

export interface Exploration {
  readonly states: number;
  /** False if the limit was reached first: then nothing is proven. */
  readonly complete: boolean;
  readonly violation?: { readonly why: string; readonly trace: readonly string[] };
}

const CHUNK_STATES = 2 ** 16;
const TABLE_FIRST = 2 ** 16;
const NONE = 0xffff_ffff;
/** Kept locally: in Jest reading a global costs more than the multiplication. */
const { imul } = Math;

/**
 * Visits every state that can be reached, breadth first, so that a counter-example is as short as
 * can be. A process that crashed is one that takes no further step: every state in which some
 * process never goes on is among those visited.
 */
export function explore(protocol: Protocol, statesMax: number): Exploration {
  const states = new States(protocol.size);
  states.add(protocol.initial(), NONE);
  const current = new Uint16Array(protocol.size);
  let parent = 0;
  const found: Found = (next) => {
    states.add(next, parent);
  };
  for (let index = 0; index < states.count; index++) {
    states.copyTo(index, current);
    const why = protocol.broken(current);
    if (why !== undefined) {
      return {
        states: index,
        complete: false,
        violation: { why, trace: trace(protocol, states, index) },
      };
    }
    if (states.count > statesMax) {
      return { states: states.count, complete: false };
    }
    parent = index;
    protocol.steps(current, found);
  }
  return { states: states.count, complete: true };
}

/** The labels on the way to a state; found again, because remembering them would cost memory. */
function trace(protocol: Protocol, states: States, index: number): string[] {
  const labels: string[] = [];
  const before = new Uint16Array(protocol.size);
  const after = new Uint16Array(protocol.size);
  for (let at = index; states.parent(at) !== NONE; at = states.parent(at)) {
    states.copyTo(at, after);
    states.copyTo(states.parent(at), before);
    let label = '?';
    protocol.steps(before, (next, name) => {
      if (label === '?' && next.every((value, field) => value === after[field])) {
        label = name;
      }
    });
    labels.push(label);
  }
  return labels.reverse();
}

/** All states seen, in the order found, with an open-addressing table over them. */
class States {
  count = 0;
  readonly #words: number;
  readonly #size: number;
  readonly #chunks: Uint32Array[] = [];
  readonly #halves: Uint16Array[] = [];
  readonly #parents: Uint32Array[] = [];
  readonly #scratch: Uint32Array;
  readonly #scratchHalves: Uint16Array;
  #table = new Uint32Array(TABLE_FIRST).fill(NONE);

  constructor(size: number) {
    this.#size = size;
    this.#words = Math.ceil(size / 2);
    this.#scratch = new Uint32Array(this.#words);
    this.#scratchHalves = new Uint16Array(this.#scratch.buffer);
  }

  add(state: Uint16Array, parent: number): void {
    const scratch = this.#scratch;
    this.#scratchHalves.set(state);
    const words = this.#words;
    const mask = this.#table.length - 1;
    let at = hash(scratch, 0, words) & mask;
    for (;;) {
      const index = this.#table[at] ?? NONE;
      if (index === NONE) {
        break;
      }
      const chunk = this.#chunks[index >>> 16]!;
      const start = (index & (CHUNK_STATES - 1)) * words;
      let same = 0;
      while (same < words && chunk[start + same] === scratch[same]) {
        same += 1;
      }
      if (same === words) {
        return;
      }
      at = (at + 1) & mask;
    }
    this.#table[at] = this.count;
    this.#append(parent);
    if (this.count * 2 > this.#table.length) {
      this.#grow();
    }
  }

  copyTo(index: number, target: Uint16Array): void {
    const chunk = this.#halves[index >>> 16]!;
    const start = (index & (CHUNK_STATES - 1)) * this.#words * 2;
    for (let field = 0; field < this.#size; field++) {
      target[field] = chunk[start + field]!;
    }
  }

  parent(index: number): number {
    return this.#parents[index >>> 16]?.[index & (CHUNK_STATES - 1)] ?? NONE;
  }

  #append(parent: number): void {
    const inChunk = this.count & (CHUNK_STATES - 1);
    if (inChunk === 0) {
      const chunk = new Uint32Array(CHUNK_STATES * this.#words);
      this.#chunks.push(chunk);
      this.#halves.push(new Uint16Array(chunk.buffer));
      this.#parents.push(new Uint32Array(CHUNK_STATES));
    }
    const last = this.#chunks.length - 1;
    this.#chunks[last]!.set(this.#scratch, inChunk * this.#words);
    this.#parents[last]![inChunk] = parent;
    this.count += 1;
  }

  #grow(): void {
    const table = new Uint32Array(this.#table.length * 2).fill(NONE);
    const mask = table.length - 1;
    for (let index = 0; index < this.count; index++) {
      const chunk = this.#chunks[index >>> 16]!;
      let at = hash(chunk, (index & (CHUNK_STATES - 1)) * this.#words, this.#words) & mask;
      while (table[at] !== NONE) {
        at = (at + 1) & mask;
      }
      table[at] = index;
    }
    this.#table = table;
  }
}

function hash(words: Uint32Array, start: number, count: number): number {
  let mixed = 0x9e3779b9;
  for (let index = 0; index < count; index++) {
    mixed = imul(mixed ^ words[start + index]!, 0x85ebca6b);
    mixed = (mixed << 13) | (mixed >>> 19);
    mixed = (imul(mixed, 5) + 0xe6546b64) | 0;
  }
  mixed ^= mixed >>> 16;
  mixed = imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
