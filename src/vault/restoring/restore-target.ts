import type { DiskWriter } from '../../disk/disk-writer.ts';
import { integrityOrThrow } from '../../kernel/fault.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { fetched, type FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { OpenPack, SlotReference } from '../packs/open-pack.ts';
import { damagedFrame } from '../packs/pack-faults.ts';
import { orLost, type Losses } from '../damage/losses.ts';
import type { Part, RestoreTask } from '../tasks/restore-task.ts';
import type { NeededFrame, NeededRead } from './needed-frames.ts';

/** Size of one ranged read whose frames do not come back from the worker. */
const WORKER_REQUEST_BYTES = 2 * 1024 * 1024;

/**
 * Brings frames to the new disk: workers write to a raw image themselves; otherwise the writer
 * does.
 */
export class RestoreTarget {
  readonly #fetcher: FrameFetcher;
  readonly #writer: DiskWriter;
  readonly #signal: AbortSignal;
  readonly #losses: Losses | undefined;

  /** @param losses accepts losses if given, and gets what could not be written */
  constructor(
    fetcher: FrameFetcher,
    writer: DiskWriter,
    { signal, losses }: { readonly signal: AbortSignal; readonly losses?: Losses },
  ) {
    this.#fetcher = fetcher;
    this.#writer = writer;
    this.#signal = signal;
    this.#losses = losses;
  }

  /** Preferred size of ranged reads; undefined for the default. */
  get requestBytes(): number | undefined {
    return this.#writer.rawFile === undefined ? undefined : WORKER_REQUEST_BYTES;
  }

  /**
   * Writes frames. Slots that have moved, or are damaged here and whole elsewhere, are written from
   * there.
   * @throws Fault `vault.chunk-corrupt` and what store and writer throw
   */
  async write(read: NeededRead): Promise<void> {
    try {
      await this.#writeFrom(read);
    } catch (error) {
      integrityOrThrow(error);
      for (const { index } of read.request.frames) {
        await this.#writeSlots(read.open, read.frames.get(index));
      }
    }
  }

  async #writeFrom(read: NeededRead): Promise<void> {
    const path = this.#writer.rawFile;
    if (path !== undefined && (await this.#writeThere(path, read))) {
      return;
    }
    const { open, request, frames } = read;
    const slotsOf = (frame: number): Iterable<number> => frames.get(frame)?.slots.keys() ?? [];
    const raws = await this.#fetcher.open(open, request, slotsOf, this.#signal);
    for (const [index, { index: frame }] of request.frames.entries()) {
      for (const { rawOffset, diskOffset, length } of frames.get(frame)?.parts ?? []) {
        const content = raws[index]?.subarray(rawOffset, rawOffset + length);
        await this.#writer.write(diskOffset, content ?? new Uint8Array(), this.#signal);
      }
    }
  }

  /** Makes workers close the files. */
  async release(): Promise<void> {
    await this.#fetcher.pool.closeFiles();
  }

  /** Writes slot by slot, each from a place where it is whole. */
  async #writeSlots({ footer }: OpenPack, needed: NeededFrame | undefined): Promise<void> {
    for (const [slot, reference] of needed?.slots ?? []) {
      const from = footer.offsetOf[slot] ?? 0;
      const to = from + footer.size(slot) * SECTOR_BYTES;
      const touched = needed?.parts.filter((part) => part.rawOffset < to && endOf(part) > from);
      for (const part of touched ?? []) {
        const start = Math.max(part.rawOffset, from);
        const end = Math.min(endOf(part), to);
        const offset = part.diskOffset + start - part.rawOffset;
        await orLost(this.#losses, { offset, length: end - start }, async () => {
          const content = await this.#slot(reference);
          await this.#writer.write(
            offset,
            content.subarray(start - from, end - from),
            this.#signal,
          );
        });
      }
    }
  }

  async #slot(reference: SlotReference): Promise<Uint8Array> {
    return this.#fetcher.packs.withSlot(reference, this.#signal, async (placed) =>
      this.#fetcher.slot(placed, this.#signal),
    );
  }

  /**
   * Returns false if the system refused a file: the disk's own writer can best tell what is wrong.
   */
  async #writeThere(path: string, { open, request, frames: needed }: NeededRead): Promise<boolean> {
    const local = this.#fetcher.packs.localRange(open, request);
    const input = local ?? (await this.#fetcher.fetch(open, request, this.#signal));
    const result = await this.#fetcher.ids.run(async (withIds) => {
      const frames = request.frames.map((frame) => {
        const { parts = [], slots } = needed.get(frame.index) ?? {};
        const place = fetched(frame, request);
        return { ...this.#fetcher.toOpen(open, place, slots?.keys() ?? [], withIds), parts };
      });
      const keys = { key: open.key, header: open.header };
      const task: RestoreTask = { kind: 'restore', keys, input, frames, path };
      return this.#fetcher.pool.run(task);
    });
    if (typeof result === 'object') {
      throw damagedFrame(open, result.index, result.damage);
    }
    return result === 'written';
  }
}

function endOf({ rawOffset, length }: Part): number {
  return rawOffset + length;
}
