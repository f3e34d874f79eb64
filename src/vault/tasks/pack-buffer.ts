import assert from 'node:assert/strict';
import { collectGarbage } from '../../kernel/memory/garbage.ts';
import { HEADER_BYTES } from '../format/pack-ends.ts';

const LOCK = 0;
const OFFSET = 1;
const FRAMES = 2;
const SLOTS = 3;
const CONTROL_WORDS = 4;

/** A pack that several threads fill at once. */
export interface PackMemory {
  readonly bytes: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
}

/** Room for consecutive frames that only one thread writes to. */
export interface Room {
  readonly offset: number;
  readonly frame: number;
  readonly slot: number;
}

export function newPackMemory(capacity: number): PackMemory {
  return {
    bytes: new SharedArrayBuffer(capacity),
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
  };
}

/** A pack in shared memory. Threads take room under a lock that is held for a few instructions. */
export class PackBuffer {
  readonly bytes: Uint8Array;
  readonly memory: PackMemory;
  readonly #control: Int32Array;

  constructor(memory: PackMemory) {
    this.memory = memory;
    this.bytes = new Uint8Array(memory.bytes);
    this.#control = new Int32Array(memory.control);
  }

  /** Starts a new pack. Nobody else may be using the buffer. */
  restart(header: Uint8Array): void {
    this.#control[LOCK] = 0;
    this.#control[OFFSET] = HEADER_BYTES;
    this.#control[FRAMES] = 0;
    this.#control[SLOTS] = 0;
    this.bytes.set(header);
  }

  get used(): number {
    return Atomics.load(this.#control, OFFSET);
  }

  get frames(): number {
    return Atomics.load(this.#control, FRAMES);
  }

  get slots(): number {
    return Atomics.load(this.#control, SLOTS);
  }

  /** The main thread has made sure that there is room (PackAssembly). */
  take(need: { readonly bytes: number; readonly frames: number; readonly slots: number }): Room {
    while (Atomics.compareExchange(this.#control, LOCK, 0, 1) !== 0) {
      // The lock is held for nanoseconds; the time limit only covers a thread that was descheduled
      // holding it.
      Atomics.wait(this.#control, LOCK, 1, 1);
    }
    const room = { offset: this.used, frame: this.frames, slot: this.slots };
    Atomics.store(this.#control, OFFSET, room.offset + need.bytes);
    Atomics.store(this.#control, FRAMES, room.frame + need.frames);
    Atomics.store(this.#control, SLOTS, room.slot + need.slots);
    Atomics.store(this.#control, LOCK, 0);
    Atomics.notify(this.#control, LOCK, 1);
    assert(room.offset + need.bytes <= this.bytes.length, 'a pack buffer overflows');
    return room;
  }
}

/**
 * Unused buffers, for the next backup. The engine does not count shared memory, so it would collect
 * those of the last backups late. They are kept weakly, so it may still take them.
 */
class Spares<T extends WeakKey> {
  readonly #sizeOf: (buffer: T) => number;
  readonly #make: (bytes: number) => T;
  #buffers: WeakRef<T>[] = [];

  constructor(sizeOf: (buffer: T) => number, make: (bytes: number) => T) {
    this.#sizeOf = sizeOf;
    this.#make = make;
  }

  /** Returns a buffer of at least `bytes`. */
  take(bytes: number): T {
    for (let spare = this.#buffers.pop(); spare !== undefined; spare = this.#buffers.pop()) {
      const buffer = spare.deref();
      if (buffer !== undefined && this.#sizeOf(buffer) >= bytes) {
        return buffer;
      }
    }
    return this.#make(bytes);
  }

  /** Frees their memory now: what comes next needs it. */
  release(): void {
    if (this.#buffers.length > 0) {
      this.#buffers = [];
      collectGarbage('all');
    }
  }

  /** Takes buffers that nobody reads or writes any more. */
  give(buffers: readonly T[]): void {
    this.#buffers.push(...buffers.map((buffer) => new WeakRef(buffer)));
  }
}

export class SpareBuffers extends Spares<PackBuffer> {
  constructor() {
    super(
      ({ bytes }) => bytes.length,
      (bytes) => new PackBuffer(newPackMemory(bytes)),
    );
  }
}

/** Buffers for what tasks read. */
export class SpareInputs extends Spares<SharedArrayBuffer> {
  constructor() {
    super(
      ({ byteLength }) => byteLength,
      (bytes) => new SharedArrayBuffer(bytes),
    );
  }
}
