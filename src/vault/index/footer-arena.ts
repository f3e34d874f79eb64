import assert from 'node:assert/strict';
import { ID_BYTES } from '../chunks/chunk-id.ts';

/**
 * Words of a directory entry: pack number + 1, place of the footer in 16-byte units, slots, unused.
 */
const ENTRY_WORDS = 4;
const WAYS = 8;
const SETS = 512;
const DIRECTORY_BYTES = SETS * WAYS * ENTRY_WORDS * 4;

/** A footer holds sector counts first, rounded up to whole ids, then the ids. */
function footerBytes(slots: number): number {
  return (Math.ceil(slots / ID_BYTES) + slots) * ID_BYTES;
}

/** What a lookup needs of a footer. A slot without sectors does not exist. */
export interface ArenaFooter {
  readonly slots: number;
  /** Sectors of a slot; 0 if it is missing or must not be used. */
  readonly sectors: (slot: number) => number;
  /** 16 bytes per slot. */
  readonly ids: Uint8Array;
}

/**
 * Decoded footers in shared memory, as a ring that workers only read. A reader checks the directory
 * entry again after it has read. Both sides use Atomics, which keep one order for all threads: with
 * plain reads an arm64 processor may read the entry first, and with plain writes a footer may show
 * before its entry was taken out.
 */
export class ArenaView {
  protected readonly directory: Int32Array;
  protected readonly bytes: Uint8Array;
  protected readonly words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.directory = new Int32Array(memory, 0, DIRECTORY_BYTES / 4);
    this.bytes = new Uint8Array(memory, DIRECTORY_BYTES);
    this.words = new Int32Array(memory, DIRECTORY_BYTES);
  }

  /** Compares a slot with the id and length asked for; `absent` if the footer is not here. */
  check(
    place: { readonly pack: number; readonly slot: number },
    id: Uint32Array,
    sectors: number,
  ): 'same' | 'other' | 'absent' {
    const entry = this.entryOf(place.pack);
    if (entry < 0) {
      return 'absent';
    }
    const unit = Atomics.load(this.directory, entry + 1);
    const slots = Atomics.load(this.directory, entry + 2);
    const start = unit * ID_BYTES;
    const same =
      place.slot < slots &&
      Atomics.load(this.bytes, start + place.slot) === sectors &&
      this.#hasId((unit + Math.ceil(slots / ID_BYTES) + place.slot) * (ID_BYTES / 4), id);
    // The footer may have been overwritten meanwhile; then its entry was taken out first.
    return Atomics.load(this.directory, entry) === place.pack + 1 &&
      Atomics.load(this.directory, entry + 1) === unit
      ? same
        ? 'same'
        : 'other'
      : 'absent';
  }

  /** Returns the position of the pack's entry in the directory, or -1. */
  protected entryOf(pack: number): number {
    const first = setOf(pack);
    for (let way = 0; way < WAYS; way++) {
      const entry = first + way * ENTRY_WORDS;
      if (Atomics.load(this.directory, entry) === pack + 1) {
        return entry;
      }
    }
    return -1;
  }

  #hasId(at: number, id: Uint32Array): boolean {
    const { words } = this;
    return (
      Atomics.load(words, at) === ((id[0] ?? 0) | 0) &&
      Atomics.load(words, at + 1) === ((id[1] ?? 0) | 0) &&
      Atomics.load(words, at + 2) === ((id[2] ?? 0) | 0) &&
      Atomics.load(words, at + 3) === ((id[3] ?? 0) | 0)
    );
  }
}

/** Returns the ids of a footer, 4 words each. */
function wordsOf({ ids, slots }: ArenaFooter): Int32Array {
  return new Int32Array(Uint8Array.from(ids.subarray(0, slots * ID_BYTES)).buffer);
}

function setOf(pack: number): number {
  return ((Math.imul(pack, 0x9e37_79b1) >>> 0) % SETS) * WAYS * ENTRY_WORDS;
}

interface Kept {
  readonly pack: number;
  readonly entry: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Decoded, authenticated footers for the lookups of all threads. The oldest goes first. One thread
 * writes.
 */
export class FooterArena extends ArenaView {
  readonly memory: SharedArrayBuffer;
  /** In the order of the ring. */
  #kept: Kept[] = [];
  #next = 0;

  constructor(bytes: number) {
    const memory = new SharedArrayBuffer(DIRECTORY_BYTES + Math.ceil(bytes / ID_BYTES) * ID_BYTES);
    super(memory);
    this.memory = memory;
  }

  has(pack: number): boolean {
    return this.entryOf(pack) >= 0;
  }

  /** Adds a footer that is not here yet. A footer larger than the whole ring is not kept. */
  put(pack: number, footer: ArenaFooter): void {
    assert(!this.has(pack), 'a footer is in the arena already');
    const length = footerBytes(footer.slots);
    if (length > this.bytes.length) {
      return;
    }
    const start = this.#next + length > this.bytes.length ? 0 : this.#next;
    this.#clear(start, start + length);
    for (let slot = 0; slot < footer.slots; slot++) {
      Atomics.store(this.bytes, start + slot, footer.sectors(slot));
    }
    const ids = start / 4 + Math.ceil(footer.slots / ID_BYTES) * (ID_BYTES / 4);
    for (const [index, word] of wordsOf(footer).entries()) {
      Atomics.store(this.words, ids + index, word);
    }
    const entry = this.#freeEntry(pack);
    Atomics.store(this.directory, entry + 1, start / ID_BYTES);
    Atomics.store(this.directory, entry + 2, footer.slots);
    Atomics.store(this.directory, entry, pack + 1);
    this.#kept.push({ pack, entry, start, end: start + length });
    this.#next = start + length;
  }

  /** Removes a footer because the pack is gone or some of its slots must no longer be used. */
  remove(pack: number): void {
    const entry = this.entryOf(pack);
    if (entry >= 0) {
      Atomics.store(this.directory, entry, 0);
      this.#kept = this.#kept.filter((kept) => kept.pack !== pack);
    }
  }

  #clear(start: number, end: number): void {
    const isHit = (kept: Kept): boolean => kept.start < end && kept.end > start;
    if (this.#kept.some(isHit)) {
      for (const { entry } of this.#kept.filter(isHit)) {
        Atomics.store(this.directory, entry, 0);
      }
      this.#kept = this.#kept.filter((kept) => !isHit(kept));
    }
  }

  /**
   * Returns a free entry of the pack's set; if there is none, frees the one with the oldest footer.
   */
  #freeEntry(pack: number): number {
    const first = setOf(pack);
    const entries = Array.from({ length: WAYS }, (_, way) => first + way * ENTRY_WORDS);
    const free = entries.find((entry) => this.directory[entry] === 0);
    if (free !== undefined) {
      return free;
    }
    const oldest = this.#kept.find(({ entry }) => entries.includes(entry));
    assert(oldest !== undefined, 'an entry without a footer');
    this.remove(oldest.pack);
    return oldest.entry;
  }
}
