import assert from 'node:assert/strict';
import type { Clock } from '../../kernel/clock.ts';
import { CompressionEffort } from './compression-effort.ts';
import type { DedupIndex } from '../index/dedup-index.ts';
import { randomSuffix, packKey, type PackName } from '../format/object-names.ts';
import type { PackBuffer, SpareBuffers } from '../tasks/pack-buffer.ts';
import { FRAMES_MAX, SLOTS_MAX } from '../format/limits.ts';
import type { FrameEntry } from '../packs/pack-layout.ts';
import { PACK_UNUSABLE, PACK_USABLE } from '../packs/pack-numbers.ts';
import { packEnd } from '../packs/pack-writing.ts';
import type { Packs } from '../packs/packs.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import type { StoreResult, StoreTask } from '../tasks/store-task.ts';
import { newUlid } from '../bytes/ulid.ts';
import type { TaskPool } from '../tasks/task-pool.ts';
import type { CompressionLevel } from '../bytes/zstd.ts';

/** Most that one task reads. */
export const BATCH_BYTES = 4 * 1024 * 1024;
/**
 * Most that a task's frames take, if nothing compresses: content, prefixes, tags and partly filled
 * frames.
 */
const BATCH_STORED_BYTES_MAX = BATCH_BYTES + 64 * 1024;
const BATCH_FRAMES_MAX = 16;
const BATCH_SLOTS_MAX = BATCH_BYTES / 4096;
const FOOTER_ROOM_BYTES = 2 * 1024 * 1024;
/** One is filled while the other is sent. */
const BUFFERS = 2;

interface Filling {
  readonly number: number;
  readonly name: PackName;
  readonly buffer: PackBuffer;
  readonly target: StoreTask['pack'];
  readonly results: StoreResult[];
  outstanding: number;
  closing: boolean;
}

/** A signal that callers can wait for again and again. */
class Bell {
  #waiting: (() => void)[] = [];

  ring(): void {
    for (const wake of this.#waiting.splice(0)) {
      wake();
    }
  }

  async wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}

export interface AssemblyParts {
  readonly base: VaultBase;
  readonly packs: Packs;
  readonly index: DedupIndex;
  readonly pool: TaskPool;
  readonly clock: Clock;
  readonly packBytes: number;
  readonly spare: SpareBuffers;
  /** Fixed level; default: the highest that does not slow the job. */
  readonly level?: CompressionLevel;
}

/**
 * Fills data packs and sends them. At most two packs are in memory: workers fill one while the
 * other is sealed and sent. A caller that needs room waits.
 */
export class PackAssembly {
  readonly session: number;
  /** Numbers of the packs that this assembly began. */
  readonly begun = new Set<number>();
  readonly #parts: AssemblyParts;
  readonly #signal: AbortSignal;
  readonly #free: PackBuffer[] = [];
  readonly #bell = new Bell();
  #buffers = 0;
  #filling: Filling | undefined;
  #sending = 0;
  #failure: unknown;
  #failed = false;
  readonly #effort: CompressionEffort;
  #startedMs: number | undefined;
  #stalledMs = 0;
  /** Since when nothing can be filled because both packs are being sent. */
  #stalledSinceMs: number | undefined;
  /** Bytes stored per byte of a task, a moving average. */
  #ratio = 0.5;

  constructor(parts: AssemblyParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    this.session = parts.base.numbers.newSession();
    this.#effort = new CompressionEffort(parts.level);
  }

  /** Level at which the next task compresses. */
  get level(): CompressionLevel {
    return this.#effort.level;
  }

  /**
   * Returns the pack that the next task writes to; waits for room. Every `take` needs a `give` or a
   * `drop`.
   */
  async take(): Promise<Filling> {
    for (;;) {
      this.#check();
      const current = this.#filling;
      if (current !== undefined && this.#fits(current)) {
        current.outstanding += 1;
        return current;
      }
      if (current !== undefined) {
        this.#close(current);
      }
      const buffer = this.#freeBuffer();
      if (buffer === undefined) {
        this.#stalledSinceMs ??= this.#parts.clock.monotonicMs();
        await this.#bell.wait();
      } else {
        this.#filling = this.#start(buffer);
      }
    }
  }

  /** Call it when the task is done: its chunks can be found from now on. */
  async give(filling: Filling, result: StoreResult): Promise<void> {
    if (result.frames.length > 0) {
      filling.results.push(result);
      this.#ratio = 0.8 * this.#ratio + 0.2 * (result.storedBytes / BATCH_BYTES);
      const slots = { first: result.slot, sectors: result.slotSectors, ids: result.slotIds };
      await this.#parts.index.insert(filling.number, slots);
    }
    this.#release(filling);
  }

  /** Call it when the task failed: its pack will never be sent. */
  drop(filling: Filling, failure: unknown): void {
    this.#fail(failure);
    this.#release(filling);
  }

  /** Sends what was filled; resolves when all packs are in the vault. */
  async flush(): Promise<void> {
    if (this.#filling !== undefined) {
      this.#close(this.#filling);
    }
    while (this.#sending > 0) {
      await this.#bell.wait();
    }
    this.#check();
  }

  /** Gives up what was not sent, and waits until none of it is running. */
  async abandon(): Promise<void> {
    this.#fail(new Error('the point was given up'));
    if (this.#filling !== undefined) {
      this.#close(this.#filling);
    }
    while (this.#sending > 0) {
      await this.#bell.wait();
    }
    this.#parts.spare.give(this.#free.splice(0));
  }

  #check(): void {
    this.#signal.throwIfAborted();
    if (this.#failed) {
      throw this.#failure;
    }
  }

  #fail(failure: unknown): void {
    if (!this.#failed) {
      this.#failed = true;
      this.#failure = failure;
    }
    this.#bell.ring();
  }

  #fits({ buffer, results, outstanding }: Filling): boolean {
    // The used part of the buffer would be wrong: unfinished tasks have written only part of what
    // they will.
    const given = results.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    const expected = outstanding * BATCH_BYTES * this.#ratio;
    return (
      given + expected < this.#parts.packBytes &&
      outstanding < this.#parts.pool.depth + 1 &&
      buffer.frames + (outstanding + 1) * BATCH_FRAMES_MAX <= FRAMES_MAX &&
      buffer.slots + (outstanding + 1) * BATCH_SLOTS_MAX <= SLOTS_MAX
    );
  }

  #freeBuffer(): PackBuffer | undefined {
    const free = this.#free.pop();
    if (free !== undefined || this.#buffers >= BUFFERS) {
      return free;
    }
    this.#buffers += 1;
    const tasks = this.#parts.pool.depth + 1;
    const capacity = this.#parts.packBytes + tasks * BATCH_STORED_BYTES_MAX + FOOTER_ROOM_BYTES;
    return this.#parts.spare.take(capacity);
  }

  #start(buffer: PackBuffer): Filling {
    const { base, packs, clock } = this.#parts;
    this.#rate(clock.monotonicMs());
    const name: PackName = {
      kind: 'data',
      ulid: newUlid(clock.nowMs()),
      generation: 0,
      rand: randomSuffix(),
    };
    const number = base.numbers.of(name);
    base.numbers.setState(number, this.session);
    this.begun.add(number);
    const keys = packs.frameKeys(name);
    buffer.restart(keys.header);
    const target = { ...keys, number, memory: buffer.memory };
    return { number, name, buffer, target, results: [], outstanding: 0, closing: false };
  }

  /** Called when a pack begins: the time of the one before decides how hard to compress. */
  #rate(nowMs: number): void {
    this.#stalledMs += nowMs - (this.#stalledSinceMs ?? nowMs);
    this.#stalledSinceMs = undefined;
    if (this.#startedMs !== undefined) {
      const tookMs = nowMs - this.#startedMs;
      this.#effort.filled({ tookMs, stalledMs: this.#stalledMs });
    }
    this.#startedMs = nowMs;
    this.#stalledMs = 0;
  }

  #close(filling: Filling): void {
    if (!filling.closing) {
      filling.closing = true;
      this.#filling = undefined;
      this.#sending += 1;
      filling.outstanding += 1;
      this.#release(filling);
    }
  }

  #release(filling: Filling): void {
    filling.outstanding -= 1;
    if (!filling.closing || filling.outstanding > 0) {
      this.#bell.ring();
      return;
    }
    this.#send(filling)
      .catch((error: unknown) => {
        this.#parts.base.numbers.setState(filling.number, PACK_UNUSABLE);
        this.#fail(error);
      })
      .finally(() => {
        this.#free.push(filling.buffer);
        this.#sending -= 1;
        this.#bell.ring();
      });
  }

  async #send(filling: Filling): Promise<void> {
    const { base, packs, pool } = this.#parts;
    const { name, number, buffer } = filling;
    if (filling.results.length === 0) {
      base.numbers.setState(number, PACK_UNUSABLE);
      return;
    }
    this.#check();
    const offset = buffer.used;
    const length = offset + writeEnd(base, filling);
    const bytes = buffer.bytes.subarray(0, length);
    const options = base.store.wantsHash
      ? { sha256: await pool.run({ kind: 'digest', bytes }) }
      : undefined;
    this.#check();
    await base.store.put(packKey(name), bytes, this.#signal, options);
    // A copy, because the next pack uses the buffer again.
    await packs.learn(number, {
      objectSize: length,
      tail: Uint8Array.from(bytes.subarray(offset)),
    });
    base.numbers.setState(number, PACK_USABLE);
  }
}

/** Writes footer and trailer behind the frames. @returns their length */
function writeEnd(base: VaultBase, { name, buffer, results, target }: Filling): number {
  const sorted = results.toSorted((a, b) => a.frame - b.frame);
  const frames: FrameEntry[] = [];
  const sizes: number[] = [];
  for (const result of sorted) {
    assert(result.frame === frames.length && result.slot === sizes.length, 'frames are missing');
    frames.push(...result.frames);
    sizes.push(...result.slotSectors);
  }
  const ids = Buffer.concat(sorted.map(({ slotIds }) => slotIds));
  const place = { name, keys: target, offset: buffer.used };
  const end = packEnd(base, place, { frames, sizes, ids });
  buffer.bytes.set(end, buffer.used);
  return end.length;
}
