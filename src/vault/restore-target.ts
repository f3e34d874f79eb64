import type { DiskWriter } from '../disk/disk-writer.ts';
import { fetched, type FrameFetcher } from './frame-fetcher.ts';
import type { FrameRequest } from './frame-requests.ts';
import { damagedFrame, type OpenPack } from './packs.ts';
import type { Part, RestoreTask } from './restore-task.ts';

/** Of one ranged read whose frames do not come back from the worker. */
const WORKER_REQUEST_BYTES = 2 * 1024 * 1024;

/** Brings frames into the new disk: workers write to a raw image themselves, else the writer does. */
export class RestoreTarget {
  readonly #fetcher: FrameFetcher;
  readonly #writer: DiskWriter;
  readonly #signal: AbortSignal;

  constructor(fetcher: FrameFetcher, writer: DiskWriter, signal: AbortSignal) {
    this.#fetcher = fetcher;
    this.#writer = writer;
    this.#signal = signal;
  }

  /** How large ranged reads should be; undefined: as usual. */
  get requestBytes(): number | undefined {
    return this.#writer.rawFile === undefined ? undefined : WORKER_REQUEST_BYTES;
  }

  /** @throws Fault `vault.chunk-corrupt` and what store and writer throw */
  async write(
    pack: OpenPack,
    request: FrameRequest,
    parts: ReadonlyMap<number, readonly Part[]>,
  ): Promise<void> {
    const path = this.#writer.rawFile;
    if (path !== undefined && (await this.#writeThere(path, pack, { request, parts }))) {
      return;
    }
    const raws = await this.#fetcher.open(pack, request, this.#signal);
    for (const [index, { index: frame }] of request.frames.entries()) {
      for (const { rawOffset, diskOffset, length } of parts.get(frame) ?? []) {
        const content = raws[index]?.subarray(rawOffset, rawOffset + length);
        await this.#writer.write(diskOffset, content ?? new Uint8Array(), this.#signal);
      }
    }
  }

  /** Workers let go of the files. */
  async release(): Promise<void> {
    await this.#fetcher.pool.closeFiles();
  }

  /** False if the system refused a file: nobody else can tell better what is wrong than its owner. */
  async #writeThere(
    path: string,
    pack: OpenPack,
    work: { readonly request: FrameRequest; readonly parts: ReadonlyMap<number, readonly Part[]> },
  ): Promise<boolean> {
    const { request, parts } = work;
    const local = this.#fetcher.packs.localRange(pack, request);
    const task: RestoreTask = {
      kind: 'restore',
      keys: { key: pack.key, header: pack.header },
      input: local ?? (await this.#fetcher.fetch(pack, request, this.#signal)),
      frames: request.frames.map((frame) => ({
        ...fetched(frame, request),
        parts: parts.get(frame.index) ?? [],
      })),
      path,
    };
    const result = await this.#fetcher.pool.run(task);
    if (typeof result === 'object') {
      throw damagedFrame(pack, result.index, result.damage);
    }
    return result === 'written';
  }
}
