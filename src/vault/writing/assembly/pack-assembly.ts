import type { Clock } from '../../../kernel/clock.ts';
import { Bell } from '../../../kernel/waiting/bell.ts';
import type { DedupIndex } from '../../index/dedup-index.ts';
import { randomSuffix, packKey, type PackName } from '../../format/object-names.ts';
import type { PackBuffer, SpareBuffers } from '../../tasks/pack-buffer.ts';
import { PACK_UNUSABLE, PACK_USABLE } from '../../packs/pack-numbers.ts';
import type { Packs } from '../../packs/packs.ts';
import type { VaultBase } from '../../packs/vault-base.ts';
import type { StoreResult } from '../../tasks/store-task.ts';
import { newUlid } from '../../bytes/ulid.ts';
import type { TaskPool } from '../../tasks/task-pool.ts';
import type { CompressionLevel } from '../../bytes/zstd.ts';
import { BATCH_BYTES, BATCH_STORED_BYTES_MAX } from './batch-limits.ts';
import { BufferPair } from './buffer-pair.ts';
import { FillingPace } from './filling-pace.ts';
import { FillingPack } from './filling-pack.ts';

const FOOTER_ROOM_BYTES = 2 * 1024 * 1024;

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
 *
 * A pack is filled until no further task fits, then it is closed; when its last task has ended, it
 * is sent.
 */
export class PackAssembly {
  readonly session: number;
  /** Numbers of the packs that this assembly began. */
  readonly begun = new Set<number>();
  readonly #parts: AssemblyParts;
  readonly #signal: AbortSignal;
  readonly #buffers: BufferPair;
  readonly #pace: FillingPace;
  /** Rings when a task or a sending has ended, and after a failure. */
  readonly #bell = new Bell();
  #filling: FillingPack | undefined;
  /** Packs that get no more tasks and are not sent yet. */
  readonly #closed = new Set<FillingPack>();
  #failure: { readonly error: unknown } | undefined;
  /** Bytes that a task is expected to store: a moving average. */
  #taskBytes = BATCH_BYTES / 2;

  constructor(parts: AssemblyParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    this.session = parts.base.numbers.newSession();
    this.#pace = new FillingPace(parts.clock, parts.level);
    const tasksMax = parts.pool.depth + 1;
    const capacity = parts.packBytes + tasksMax * BATCH_STORED_BYTES_MAX + FOOTER_ROOM_BYTES;
    this.#buffers = new BufferPair(parts.spare, capacity);
  }

  /** Level at which the next task compresses. */
  get level(): CompressionLevel {
    return this.#pace.level;
  }

  /**
   * Returns the pack that the next task writes to; waits for room. Every `take` needs a `give` or a
   * `drop`.
   */
  async take(): Promise<FillingPack> {
    for (;;) {
      this.#check();
      const current = this.#filling;
      if (current !== undefined && this.#hasRoom(current)) {
        current.tasks += 1;
        return current;
      }
      this.#close();
      const buffer = this.#buffers.take();
      if (buffer === undefined) {
        this.#pace.stall();
        await this.#bell.wait();
      } else {
        this.#pace.begin();
        this.#filling = this.#begin(buffer);
      }
    }
  }

  /** Call it when the task is done: its chunks can be found from now on. */
  async give(pack: FillingPack, result: StoreResult): Promise<void> {
    if (result.frames.length > 0) {
      pack.add(result);
      this.#taskBytes = 0.8 * this.#taskBytes + 0.2 * result.storedBytes;
      const slots = { first: result.slot, sectors: result.slotSectors, ids: result.slotIds };
      await this.#parts.index.insert(pack.number, slots);
    }
    this.#release(pack);
  }

  /** Call it when the task failed: its pack will never be sent. */
  drop(pack: FillingPack, failure: unknown): void {
    this.#fail(failure);
    this.#release(pack);
  }

  /** Sends what was filled; resolves when all packs are in the vault. */
  async flush(): Promise<void> {
    await this.#settle();
    this.#check();
  }

  /** Gives up what was not sent, and waits until none of it is running. */
  async abandon(): Promise<void> {
    this.#fail(new Error('the point was given up'));
    await this.#settle();
    this.#buffers.release();
  }

  /** Closes the last pack, and resolves when none is left, sent or not. */
  async #settle(): Promise<void> {
    this.#close();
    while (this.#closed.size > 0) {
      await this.#bell.wait();
    }
  }

  #check(): void {
    this.#signal.throwIfAborted();
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#bell.ring();
  }

  #hasRoom(pack: FillingPack): boolean {
    const { packBytes, pool } = this.#parts;
    return pack.tasks < pool.depth + 1 && pack.hasRoom(packBytes, this.#taskBytes);
  }

  #begin(buffer: PackBuffer): FillingPack {
    const { base, packs, clock } = this.#parts;
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
    return new FillingPack({ name, number, target }, buffer);
  }

  /** The pack that is being filled gets no more tasks. */
  #close(): void {
    const pack = this.#filling;
    if (pack !== undefined) {
      this.#filling = undefined;
      this.#closed.add(pack);
      this.#sendIfComplete(pack);
    }
  }

  #release(pack: FillingPack): void {
    pack.tasks -= 1;
    this.#sendIfComplete(pack);
    this.#bell.ring();
  }

  #sendIfComplete(pack: FillingPack): void {
    if (!this.#closed.has(pack) || pack.tasks > 0) {
      return;
    }
    this.#send(pack)
      .catch((error: unknown) => {
        this.#parts.base.numbers.setState(pack.number, PACK_UNUSABLE);
        this.#fail(error);
      })
      .finally(() => {
        this.#buffers.give(pack.buffer);
        this.#closed.delete(pack);
        this.#bell.ring();
      });
  }

  async #send(pack: FillingPack): Promise<void> {
    const { base, packs, pool } = this.#parts;
    const { name, number } = pack;
    if (pack.isEmpty) {
      base.numbers.setState(number, PACK_UNUSABLE);
      return;
    }
    this.#check();
    const { object, tail } = pack.end(base);
    const options = base.store.wantsHash
      ? { sha256: await pool.run({ kind: 'digest', bytes: object }) }
      : undefined;
    this.#check();
    await base.store.put(packKey(name), object, this.#signal, options);
    // A copy, because the next pack uses the buffer again.
    await packs.learn(number, { objectSize: object.length, tail: Uint8Array.from(tail) });
    base.numbers.setState(number, PACK_USABLE);
  }
}
