import { assertInside } from '../disk/bounds.ts';
import { DiskWriter } from '../disk/disk-writer.ts';
import type { Extent } from '../disk/extent.ts';
import { Fault } from '../kernel/fault.ts';
import { ConnectionPool, type NbdOptions } from './connection-pool.ts';
import type { NbdAddress } from './connection.ts';
import { cut, settleAll } from './pieces.ts';
import { Command, ExportFlag } from './protocol.ts';

/** Zeroing sends no data; servers do it in one step whatever the length. */
const ZERO_BYTES_MAX = 256 * 1024 * 1024;

/** A disk that an NBD server lets us write. */
export class NbdDiskWriter extends DiskWriter {
  override readonly size: number;
  private readonly pool: ConnectionPool;

  private constructor(pool: ConnectionPool) {
    super();
    this.pool = pool;
    this.size = pool.facts.size;
  }

  /** @throws Fault `nbd.*` if the server is not there, refuses, or exports read-only */
  static async open(
    address: NbdAddress,
    signal: AbortSignal,
    options: NbdOptions = {},
  ): Promise<NbdDiskWriter> {
    const pool = await ConnectionPool.open(address, options, signal);
    if (pool.hasFlag(ExportFlag.readOnly)) {
      await pool.close();
      throw new Fault('nbd.refused', 'The NBD server exports the disk read-only.');
    }
    return new NbdDiskWriter(pool);
  }

  override async write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertInside({ offset, length: data.length }, this.size);
    this.assertWholeBlocks({ offset, length: data.length });
    await settleAll(
      cut({ offset, length: data.length }, this.pool.facts).map(async (piece) => {
        const start = piece.offset - offset;
        const part = data.subarray(start, start + piece.length);
        await this.pool.request({ command: Command.write, ...piece, data: part }, signal);
      }),
    );
  }

  override async zero(extent: Extent, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertInside(extent, this.size);
    this.assertWholeBlocks(extent);
    if (this.pool.hasFlag(ExportFlag.sendWriteZeroes)) {
      const limits = { ...this.pool.facts, requestBytesMax: ZERO_BYTES_MAX };
      for (const piece of cut(extent, limits, ZERO_BYTES_MAX)) {
        await this.pool.request({ command: Command.writeZeroes, ...piece }, signal);
      }
      return;
    }
    const pieces = cut(extent, this.pool.facts);
    const zeroes = new Uint8Array(pieces[0]?.length ?? 0);
    for (const { offset, length } of pieces) {
      await this.write(offset, zeroes.subarray(0, length), signal);
    }
  }

  override async flush(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.pool.hasFlag(ExportFlag.sendFlush)) {
      await this.pool.request({ command: Command.flush, offset: 0, length: 0 }, signal);
    }
  }

  override async close(): Promise<void> {
    await this.pool.close();
  }

  /** Refuses parts of blocks: reading and rewriting a block would undo another write to it. */
  private assertWholeBlocks({ offset, length }: Extent): void {
    const unit = this.pool.facts.blockBytesMin;
    if (offset % unit !== 0 || (length % unit !== 0 && offset + length !== this.size)) {
      throw new Fault(
        'nbd.unsupported',
        `The NBD server writes whole blocks of ${String(unit)} bytes only.`,
        { offset, length },
      );
    }
  }
}
