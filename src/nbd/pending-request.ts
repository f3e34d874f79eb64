import type { Fault } from '../kernel/fault.ts';
import type { Fill } from './byte-steps.ts';
import { protocolFault } from './nbd-fault.ts';
import { Command } from './protocol.ts';

/** `length` bytes from the end of the previous run, with the content that `flags` says. */
export interface StatusRun {
  readonly length: number;
  readonly flags: number;
}

/** Runs by the id of their meta context, each from the start of the requested range. */
export type StatusReply = ReadonlyMap<number, readonly StatusRun[]>;

export interface NbdRequest {
  readonly command: Command;
  readonly offset: number;
  readonly length: number;
  /** Data of a write, exactly `length` bytes. Must not change until the request has settled. */
  readonly data?: Uint8Array;
  /** Where a read goes, exactly `length` bytes. */
  readonly target?: Uint8Array;
}

/** Servers cut replies at borders of extents, which are at least sectors. */
const PIECE_BYTES_MIN = 512;
const REPLIES_SPARE = 64;
const CONTEXTS_MAX = 8;

/** A request that the server has not answered yet, or not in full. */
export class PendingRequest {
  readonly request: NbdRequest;
  readonly settled: Promise<StatusReply>;
  private readonly fulfil: (reply: StatusReply) => void;
  private readonly refuse: (reason: unknown) => void;
  private readonly covered: { start: number; end: number }[] = [];
  private readonly status = new Map<number, readonly StatusRun[]>();
  private target: Uint8Array | undefined;
  private filling: Fill | undefined;
  private repliesLeft: number;
  private firstFault: Fault | undefined;

  constructor(request: NbdRequest) {
    this.request = request;
    this.target = request.target;
    const pieces = request.command === Command.read ? request.length / PIECE_BYTES_MIN : 0;
    this.repliesLeft = Math.ceil(pieces) + REPLIES_SPARE;
    const { promise, resolve, reject } = Promise.withResolvers<StatusReply>();
    this.settled = promise;
    this.fulfil = resolve;
    this.refuse = reject;
  }

  /**
   * Nobody waits any more: skips the rest of the answer, and no longer writes to the target; while
   * the target is lent to the system, this takes effect with the next bytes.
   */
  abandon(reason: unknown): void {
    if (this.filling?.returned === undefined) {
      this.giveUp(reason);
      return;
    }
    this.filling.returned = () => {
      this.giveUp(reason);
    };
  }

  /** Like `abandon`, for a socket that is gone and so cannot write any more. */
  giveUp(reason: unknown): void {
    this.target = undefined;
    if (this.filling !== undefined) {
      this.filling.target = undefined;
    }
    this.refuse(reason);
  }

  countReply(): void {
    this.repliesLeft -= 1;
    if (this.repliesLeft < 0) {
      throw protocolFault('an answer that does not end');
    }
  }

  /** Returns where the next `length` bytes of a read go, which start at `offset` of the disk. */
  fillAt(offset: number, length: number): Fill {
    const start = this.cover(offset, length);
    this.filling = { target: this.target?.subarray(start, start + length), length };
    return this.filling;
  }

  zeroAt(offset: number, length: number): void {
    const start = this.cover(offset, length);
    this.target?.fill(0, start, start + length);
  }

  addStatus(context: number, runs: readonly StatusRun[]): void {
    const isExpected = !this.status.has(context) && this.status.size < CONTEXTS_MAX;
    if (this.request.command !== Command.blockStatus || !isExpected) {
      throw protocolFault('a status that was not asked for');
    }
    this.status.set(context, runs);
  }

  fail(fault: Fault): void {
    this.firstFault ??= fault;
  }

  /** The server said that nothing more comes. */
  finish(): void {
    this.filling = undefined;
    if (this.firstFault !== undefined) {
      this.refuse(this.firstFault);
      return;
    }
    const [run] = this.covered;
    const { command, length } = this.request;
    if (command === Command.read && (run?.start !== 0 || run.end !== length)) {
      const fault = protocolFault('an answer to a read that leaves bytes out');
      this.refuse(fault);
      throw fault;
    }
    this.fulfil(this.status);
  }

  /** Notes that a part of a read has come. @returns where it starts in the target */
  private cover(offset: number, length: number): number {
    const start = offset - this.request.offset;
    const end = start + length;
    const isInside = start >= 0 && length > 0 && end <= this.request.length;
    if (this.request.command !== Command.read || !isInside) {
      throw protocolFault('bytes that were not asked for');
    }
    this.insert(start, end);
    return start;
  }

  /** Keeps the covered parts ascending and joined: one at the end, few meanwhile. */
  private insert(start: number, end: number): void {
    let index = this.covered.length;
    while (index > 0 && (this.covered[index - 1]?.end ?? 0) > start) {
      index -= 1;
    }
    const before = this.covered[index - 1];
    const after = this.covered[index];
    if (after !== undefined && after.start < end) {
      throw protocolFault('the same bytes twice');
    }
    const joined = { start, end };
    if (after?.start === end) {
      joined.end = after.end;
      this.covered.splice(index, 1);
    }
    if (before?.end === start) {
      before.end = joined.end;
      return;
    }
    this.covered.splice(index, 0, joined);
  }
}
