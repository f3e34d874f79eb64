import type { ContentExtent, Extent } from '../../disk/extent.ts';
import { isFault } from '../../kernel/fault.ts';
import { Command, CommandFlag, WireError } from '../protocol.ts';
import { described, done, failed } from './answer.ts';
import type { ClientRequest } from './client-request.ts';
import { REQUEST_BYTES_MAX, type Agreement } from './handshake.ts';
import type { ServedDisk } from './served-disk.ts';

/** An answer may cover less than was asked. */
const RUNS_MAX = 4096;
const COMMANDS_WITH_FLAGS: ReadonlyMap<number, number> = new Map([
  [Command.write, CommandFlag.forceAccess],
  [Command.trim, CommandFlag.forceAccess],
  // Holes may be made or not: they read as zeroes either way.
  [Command.writeZeroes, CommandFlag.forceAccess | 0b10],
  [Command.blockStatus, CommandFlag.oneExtent],
  // Whole answers anyway.
  [Command.read, CommandFlag.forceAccess | 0b100],
  [Command.flush, CommandFlag.forceAccess],
]);

/** What a request failed with, as the protocol says it. */
class Refusal extends Error {
  readonly wireError: number;

  constructor(wireError: number) {
    super(`error ${String(wireError)}`);
    this.wireError = wireError;
  }
}

/**
 * Carries a request out and returns the pieces of its answer, whatever it is: failures are answers,
 * too.
 *
 * @param onFailure gets what the client cannot be told in words
 */
export async function carryOut(
  request: ClientRequest,
  { disk, agreed }: { readonly disk: ServedDisk; readonly agreed: Agreement },
  onFailure: (error: unknown) => void,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  try {
    return await new Carrying(disk, agreed, signal).out(request);
  } catch (error) {
    if (!(error instanceof Refusal)) {
      onFailure(error);
    }
    return [failed(agreed, request.cookie, wireErrorOf(error, signal))];
  }
}

class Carrying {
  private readonly disk: ServedDisk;
  private readonly agreed: Agreement;
  private readonly signal: AbortSignal;

  constructor(disk: ServedDisk, agreed: Agreement, signal: AbortSignal) {
    this.disk = disk;
    this.agreed = agreed;
    this.signal = signal;
  }

  async out(request: ClientRequest): Promise<readonly Uint8Array[]> {
    const { command, flags, cookie } = request;
    const allowed = COMMANDS_WITH_FLAGS.get(command);
    if (allowed === undefined || (flags & ~allowed) !== 0) {
      throw new Refusal(WireError.invalid);
    }
    switch (command) {
      case Command.read:
        return done(this.agreed, request, await this.read(this.range(request)));
      case Command.flush:
        await this.disk.writer?.flush(this.signal);
        return done(this.agreed, request, undefined);
      case Command.blockStatus:
        return [await this.describe(cookie, this.range(request), flags)];
      default:
        await this.change(request);
        return done(this.agreed, request, undefined);
    }
  }

  private async read(range: Extent): Promise<Uint8Array> {
    if (range.length > REQUEST_BYTES_MAX) {
      throw new Refusal(WireError.invalid);
    }
    const target = Buffer.allocUnsafe(range.length);
    await this.disk.reader.read(range.offset, target, this.signal);
    return target;
  }

  private async change(request: ClientRequest): Promise<void> {
    const { writer } = this.disk;
    if (writer === undefined) {
      throw new Refusal(WireError.notPermitted);
    }
    const range = this.range(request, WireError.noSpace);
    if (request.command !== Command.write) {
      await writer.zero(range, this.signal);
    } else if (request.data === undefined) {
      throw new Refusal(WireError.invalid);
    } else {
      await writer.write(range.offset, request.data, this.signal);
    }
    if ((request.flags & CommandFlag.forceAccess) !== 0) {
      await writer.flush(this.signal);
    }
  }

  private async describe(cookie: bigint, range: Extent, flags: number): Promise<Uint8Array> {
    const { allocationId } = this.agreed;
    if (allocationId === undefined) {
      throw new Refusal(WireError.invalid);
    }
    const most = (flags & CommandFlag.oneExtent) === 0 ? RUNS_MAX : 1;
    const runs: ContentExtent[] = [];
    for await (const run of this.disk.reader.extents(this.signal, range)) {
      runs.push(run);
      if (runs.length === most) {
        break;
      }
    }
    return described(cookie, allocationId, runs);
  }

  /** @param beyond the error where the range leaves the disk */
  private range({ offset, length }: ClientRequest, beyond: number = WireError.invalid): Extent {
    if (length === 0) {
      throw new Refusal(WireError.invalid);
    }
    if (offset + BigInt(length) > BigInt(this.disk.reader.size)) {
      throw new Refusal(beyond);
    }
    return { offset: Number(offset), length };
  }
}

function wireErrorOf(error: unknown, signal: AbortSignal): number {
  if (error instanceof Refusal) {
    return error.wireError;
  }
  if (signal.aborted) {
    return WireError.shutdown;
  }
  return isFault(error, 'host.disk-full') ? WireError.noSpace : WireError.io;
}
