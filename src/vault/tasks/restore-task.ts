import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { systemCode } from '../../kernel/fault.ts';
import type { ChunkIdFunction } from '../chunks/chunk-id.ts';
import { damageOf, withoutId, type FrameToOpen } from './frame-tasks.ts';
import { frameRoom, openFrame, type FrameKeys } from '../packs/frame.ts';
import { DATA_FRAME_BYTES } from '../packs/pack-layout.ts';
import { wrongSlots } from '../packs/slot-ids.ts';

/** A part of a raw frame and its place in the image, in bytes. */
export interface Part {
  readonly rawOffset: number;
  readonly diskOffset: number;
  readonly length: number;
}

/** Decrypts frames of one pack and writes parts of them to a raw image. */
export interface RestoreTask {
  readonly kind: 'restore';
  readonly keys: FrameKeys;
  /** The fetched bytes, or the file that has them. */
  readonly input:
    Uint8Array | { readonly path: string; readonly offset: number; readonly length: number };
  readonly frames: readonly (FrameToOpen & { readonly parts: readonly Part[] })[];
  /** The raw image, which must exist. */
  readonly path: string;
}

/**
 * `refused`: the system refused a file, and the caller tries it in its own way, which either
 * succeeds or tells what is wrong.
 */
export type RestoredFrames =
  'written' | 'refused' | { readonly index: number; readonly damage: string };

/** A FIFO in the folder must not block the open. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;
const WRITE_FLAGS = constants.O_RDWR | constants.O_NOFOLLOW;

/** Keeps the last file open, because the next task usually needs the same. */
class LastFile {
  readonly #flags: number;
  #open: { readonly path: string; readonly descriptor: number } | undefined;

  constructor(flags: number) {
    this.#flags = flags;
  }

  open(path: string): number {
    if (this.#open?.path !== path) {
      this.close();
      this.#open = { path, descriptor: openSync(path, this.#flags) };
    }
    return this.#open.descriptor;
  }

  close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) {
      closeSync(open.descriptor);
    }
  }
}

/** Restores parts of a disk. Runs in a worker thread. */
export class FrameRestorer {
  readonly #room = frameRoom(DATA_FRAME_BYTES);
  readonly #pack = new LastFile(READ_FLAGS);
  readonly #image = new LastFile(WRITE_FLAGS);
  readonly #id: () => ChunkIdFunction;
  #bytes = Buffer.alloc(0);

  /** @param id called when the first frame needs ids */
  constructor(id: () => ChunkIdFunction) {
    this.#id = id;
  }

  run(task: RestoreTask): RestoredFrames {
    try {
      const bytes = task.input instanceof Uint8Array ? task.input : this.#read(task.input);
      return bytes === undefined ? 'refused' : this.#write(task, bytes);
    } catch (error) {
      if (systemCode(error) === undefined) {
        throw error;
      }
      this.close();
      return 'refused';
    }
  }

  /** Closes what the last task left open. */
  close(): void {
    this.#pack.close();
    this.#image.close();
  }

  /** Writes only what was authenticated and, if ids are checked, matches them. */
  #write({ keys, frames, path }: RestoreTask, bytes: Uint8Array): RestoredFrames {
    const descriptor = this.#image.open(path);
    for (const { parts, proof, ...frame } of frames) {
      let raw: Uint8Array;
      try {
        const sealed = bytes.subarray(frame.offset, frame.offset + frame.length);
        raw = openFrame(keys, frame, sealed, this.#room);
      } catch (error) {
        return { index: frame.index, damage: damageOf(error) };
      }
      const wrong = proof === undefined ? [] : wrongSlots(raw, proof, this.#id());
      if (wrong.length > 0) {
        return { index: frame.index, damage: withoutId(wrong) };
      }
      for (const { rawOffset, diskOffset, length } of parts) {
        for (let done = 0; done < length;) {
          done += writeSync(descriptor, raw, rawOffset + done, length - done, diskOffset + done);
        }
      }
    }
    return 'written';
  }

  #read(place: { path: string; offset: number; length: number }): Uint8Array | undefined {
    const { path, offset, length } = place;
    const descriptor = this.#pack.open(path);
    if (this.#bytes.length < length) {
      this.#bytes = Buffer.allocUnsafeSlow(length);
    }
    for (let done = 0; done < length;) {
      const count = readSync(descriptor, this.#bytes, done, length - done, offset + done);
      if (count === 0) {
        return undefined;
      }
      done += count;
    }
    return this.#bytes.subarray(0, length);
  }
}
