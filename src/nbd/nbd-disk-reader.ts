import { assertInside } from '../disk/bounds.ts';
import { DiskReader } from '../disk/disk-reader.ts';
import type { Content, ContentExtent, Extent } from '../disk/extent.ts';
import { Fault } from '../kernel/fault.ts';
import { ConnectionPool, type NbdOptions } from './connection-pool.ts';
import type { NbdAddress } from './connection.ts';
import { cut, settleAll } from './pieces.ts';
import { ALLOCATION_DEPTH, AllocationFlag, BASE_ALLOCATION, Command } from './protocol.ts';
import { contextRuns } from './status-runs.ts';

/** A disk that an NBD server exports. */
export class NbdDiskReader extends DiskReader {
  override readonly size: number;
  private readonly pool: ConnectionPool;

  private constructor(pool: ConnectionPool) {
    super();
    this.pool = pool;
    this.size = pool.facts.size;
  }

  /** @throws Fault `nbd.*` if the server is not there, refuses, or lacks the export */
  static async open(
    address: NbdAddress,
    signal: AbortSignal,
    options: NbdOptions = {},
  ): Promise<NbdDiskReader> {
    return new NbdDiskReader(await ConnectionPool.open(address, options, signal));
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertInside({ offset, length: target.length }, this.size);
    const unit = this.pool.facts.blockBytesMin;
    if (offset % unit !== 0 || target.length % unit !== 0) {
      await this.readAround(offset, target, signal);
      return;
    }
    const pieces = cut({ offset, length: target.length }, this.pool.facts);
    await settleAll(
      pieces.map(async (piece) => {
        const start = piece.offset - offset;
        const part = target.subarray(start, start + piece.length);
        await this.pool.request({ command: Command.read, ...piece, target: part }, signal);
      }),
    );
  }

  override async *extents(
    signal: AbortSignal,
    within: Extent = { offset: 0, length: this.size },
  ): AsyncIterable<ContentExtent> {
    assertInside(within, this.size);
    if (!this.pool.hasContext(BASE_ALLOCATION)) {
      if (within.length > 0) {
        yield { ...within, content: 'data' };
      }
      return;
    }
    yield* joined(this.contents(within, signal));
  }

  /**
   * Yields the ranges that were written or zeroed in the top layer of the exported chain; elsewhere
   * the layers below count.
   *
   * @throws Fault `nbd.unsupported` if the server does not report the allocation depth (qemu-nbd
   *   without -A)
   */
  async *layerExtents(
    signal: AbortSignal,
    within: Extent = { offset: 0, length: this.size },
  ): AsyncIterable<ContentExtent> {
    assertInside(within, this.size);
    if (!this.pool.hasContext(ALLOCATION_DEPTH) || !this.pool.hasContext(BASE_ALLOCATION)) {
      throw new Fault(
        'nbd.unsupported',
        'The NBD server does not tell which layer holds what; start qemu-nbd with --allocation-depth.',
      );
    }
    yield* joined(this.topContents(within, signal));
  }

  override async close(): Promise<void> {
    await this.pool.close();
  }

  private async *contents(within: Extent, signal: AbortSignal): AsyncGenerator<ContentExtent> {
    const runs = contextRuns(this.pool, [BASE_ALLOCATION], within, signal);
    for await (const { offset, length, flags } of runs) {
      yield { offset, length, content: contentOf(flags[0]) };
    }
  }

  private async *topContents(within: Extent, signal: AbortSignal): AsyncGenerator<ContentExtent> {
    const contexts = [ALLOCATION_DEPTH, BASE_ALLOCATION];
    for await (const { offset, length, flags } of contextRuns(
      this.pool,
      contexts,
      within,
      signal,
    )) {
      // 0 is allocated nowhere, 2 and more further down: the top layer changed neither.
      if (flags[0] === 1) {
        yield { offset, length, content: contentOf(flags[1]) };
      }
    }
  }

  /** Reads whole blocks and keeps the requested part, for servers with blocks. */
  private async readAround(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    const unit = this.pool.facts.blockBytesMin;
    const start = offset - (offset % unit);
    const end = Math.min(Math.ceil((offset + target.length) / unit) * unit, this.size);
    const blocks = new Uint8Array(end - start);
    const pieces = cut({ offset: start, length: blocks.length }, this.pool.facts);
    await settleAll(
      pieces.map(async (piece) => {
        const from = piece.offset - start;
        const part = blocks.subarray(from, from + piece.length);
        await this.pool.request({ command: Command.read, ...piece, target: part }, signal);
      }),
    );
    target.set(blocks.subarray(offset - start, offset - start + target.length));
  }
}

/** A hole that is not reported as zero may hold anything. */
function contentOf(flags: number | undefined): Content {
  return ((flags ?? 0) & AllocationFlag.zero) === 0 ? 'data' : 'zero';
}

async function* joined(extents: AsyncIterable<ContentExtent>): AsyncGenerator<ContentExtent> {
  let last: ContentExtent | undefined;
  for await (const next of extents) {
    if (last?.content === next.content && last.offset + last.length === next.offset) {
      last = { ...last, length: last.length + next.length };
      continue;
    }
    if (last !== undefined) {
      yield last;
    }
    last = next;
  }
  if (last !== undefined) {
    yield last;
  }
}
