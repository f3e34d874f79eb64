import assert from 'node:assert/strict';
import { FRAMES_MAX, SLOTS_MAX } from '../../format/limits.ts';
import type { PackName } from '../../format/object-names.ts';
import type { FrameEntry } from '../../packs/pack-layout.ts';
import { packEnd } from '../../packs/pack-writing.ts';
import type { VaultBase } from '../../packs/vault-base.ts';
import type { PackBuffer } from '../../tasks/pack-buffer.ts';
import type { StoreResult, StoreTask } from '../../tasks/store-task.ts';
import { BATCH_FRAMES_MAX, BATCH_SLOTS_MAX } from './batch-limits.ts';

interface PackIdentity {
  readonly name: PackName;
  readonly number: number;
  readonly target: StoreTask['pack'];
}

/** A data pack in memory that several tasks fill. */
export class FillingPack {
  readonly name: PackName;
  readonly number: number;
  /** Where tasks put their frames. */
  readonly target: StoreTask['pack'];
  readonly buffer: PackBuffer;
  /** Tasks that have not ended. */
  tasks = 0;
  readonly #results: StoreResult[] = [];
  /** Bytes of all results. */
  #storedBytes = 0;

  constructor({ name, number, target }: PackIdentity, buffer: PackBuffer) {
    this.name = name;
    this.number = number;
    this.target = target;
    this.buffer = buffer;
  }

  /** True if no task stored anything. */
  get isEmpty(): boolean {
    return this.#results.length === 0;
  }

  /** Adds what a task stored. */
  add(result: StoreResult): void {
    this.#results.push(result);
    this.#storedBytes += result.storedBytes;
  }

  /**
   * Whether one more task may begin in a pack of this size.
   * @param taskBytes what a task is expected to store: unfinished ones have written only part of it
   */
  hasRoom(packBytes: number, taskBytes: number): boolean {
    return (
      this.#storedBytes + this.tasks * taskBytes < packBytes &&
      this.buffer.frames + (this.tasks + 1) * BATCH_FRAMES_MAX <= FRAMES_MAX &&
      this.buffer.slots + (this.tasks + 1) * BATCH_SLOTS_MAX <= SLOTS_MAX
    );
  }

  /**
   * Writes footer and trailer behind the frames, when all tasks have ended.
   * @returns views of the buffer: the whole object, and what was written last
   */
  end(base: VaultBase): { readonly object: Uint8Array; readonly tail: Uint8Array } {
    const sorted = this.#results.toSorted((a, b) => a.frame - b.frame);
    const frames: FrameEntry[] = [];
    const sizes: number[] = [];
    for (const result of sorted) {
      assert(result.frame === frames.length && result.slot === sizes.length, 'frames are missing');
      frames.push(...result.frames);
      sizes.push(...result.slotSectors);
    }
    const ids = Buffer.concat(sorted.map(({ slotIds }) => slotIds));
    const offset = this.buffer.used;
    const place = { name: this.name, keys: this.target, offset };
    const end = packEnd(base, place, { frames, sizes, ids });
    this.buffer.bytes.set(end, offset);
    const object = this.buffer.bytes.subarray(0, offset + end.length);
    return { object, tail: object.subarray(offset) };
  }
}
