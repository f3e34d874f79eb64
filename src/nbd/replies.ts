import { takeBytes, viewOf, type ByteSteps } from './byte-steps.ts';
import { protocolFault, requestFault, shownText } from './nbd-fault.ts';
import type { PendingRequest, StatusRun } from './pending-request.ts';
import {
  Command,
  REPLY_TYPE_ERROR_BIT,
  ReplyFlag,
  ReplyType,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './protocol.ts';

/** The requests that wait for an answer, by their cookies. */
export type PendingRequests = Map<number, PendingRequest>;

const ERROR_BYTES_MAX = 8 * 1024;
/** nbdkit sends up to 2^20 runs of 8 bytes, QEMU up to 2^17. */
const STATUS_BYTES_MAX = 8 * 1024 * 1024 + 4;

interface Chunk {
  readonly type: number;
  readonly isLast: boolean;
  readonly length: number;
  readonly cookie: number;
}

/**
 * Reads answers for ever, and settles the requests they belong to. Throws at the first protocol
 * error.
 */
export function* readReplies(pending: PendingRequests, structured: boolean): ByteSteps<void> {
  const header = new Uint8Array(20);
  const view = viewOf(header);
  const magic = { target: header.subarray(0, 4), length: 4 };
  const restOfSimple = { target: header.subarray(4, 16), length: 12 };
  const restOfStructured = { target: header.subarray(4, 20), length: 16 };
  for (;;) {
    yield magic;
    switch (view.getUint32(0)) {
      case SIMPLE_REPLY_MAGIC:
        yield restOfSimple;
        yield* readSimple(pending, {
          error: view.getUint32(4),
          cookie: cookieIn(view),
          structured,
        });
        break;
      case STRUCTURED_REPLY_MAGIC:
        if (!structured) {
          throw protocolFault('a structured answer that was not agreed on');
        }
        yield restOfStructured;
        yield* readChunk(pending, {
          isLast: (view.getUint16(4) & ReplyFlag.done) !== 0,
          type: view.getUint16(6),
          cookie: cookieIn(view),
          length: view.getUint32(16),
        });
        break;
      default:
        throw protocolFault('an answer that starts with neither magic number');
    }
  }
}

/** Our cookies fit in 32 bits. */
function cookieIn(view: DataView): number {
  return view.getUint32(8) === 0 ? view.getUint32(12) : -1;
}

function find(pending: PendingRequests, cookie: number): PendingRequest {
  const found = pending.get(cookie);
  if (found === undefined) {
    throw protocolFault('an answer to no request of ours');
  }
  return found;
}

function* readSimple(
  pending: PendingRequests,
  reply: { readonly error: number; readonly cookie: number; readonly structured: boolean },
): ByteSteps<void> {
  const waiting = find(pending, reply.cookie);
  const { command, offset, length } = waiting.request;
  if (reply.structured && (command === Command.read || command === Command.blockStatus)) {
    throw protocolFault('a simple answer to a request that needs a structured one');
  }
  if (reply.error !== 0) {
    waiting.fail(requestFault(nameOf(command), reply.error, ''));
  } else if (command === Command.read) {
    yield waiting.fillAt(offset, length);
  }
  pending.delete(reply.cookie);
  waiting.finish();
}

function* readChunk(pending: PendingRequests, chunk: Chunk): ByteSteps<void> {
  const waiting = find(pending, chunk.cookie);
  waiting.countReply();
  switch (chunk.type) {
    case ReplyType.none:
      if (chunk.length !== 0 || !chunk.isLast) {
        throw protocolFault('an empty answer that is not empty or not the last');
      }
      break;
    case ReplyType.offsetData:
      yield* readBytes(waiting, chunk);
      break;
    case ReplyType.offsetHole:
      yield* readHole(waiting, chunk);
      break;
    case ReplyType.blockStatus:
      yield* readStatus(waiting, chunk);
      break;
    default:
      yield* readError(waiting, chunk);
  }
  if (chunk.isLast) {
    pending.delete(chunk.cookie);
    waiting.finish();
  }
}

function* readBytes(waiting: PendingRequest, chunk: Chunk): ByteSteps<void> {
  if (chunk.length <= 8 || chunk.length - 8 > waiting.request.length) {
    throw protocolFault(`a piece of ${String(chunk.length)} bytes`);
  }
  const offset = safeOffset(viewOf(yield* takeBytes(8)));
  yield waiting.fillAt(offset, chunk.length - 8);
}

function* readHole(waiting: PendingRequest, chunk: Chunk): ByteSteps<void> {
  if (chunk.length !== 12) {
    throw protocolFault('a hole of the wrong form');
  }
  const view = viewOf(yield* takeBytes(12));
  waiting.zeroAt(safeOffset(view), view.getUint32(8));
}

function* readStatus(waiting: PendingRequest, chunk: Chunk): ByteSteps<void> {
  const isWhole = chunk.length >= 12 && (chunk.length - 4) % 8 === 0;
  if (!isWhole || chunk.length > STATUS_BYTES_MAX) {
    throw protocolFault(`a status of ${String(chunk.length)} bytes`);
  }
  const view = viewOf(yield* takeBytes(chunk.length));
  const runs: StatusRun[] = [];
  for (let at = 4; at < chunk.length; at += 8) {
    const length = view.getUint32(at);
    if (length === 0) {
      throw protocolFault('a status of nothing');
    }
    runs.push({ length, flags: view.getUint32(at + 4) });
  }
  waiting.addStatus(view.getUint32(0), runs);
}

function* readError(waiting: PendingRequest, chunk: Chunk): ByteSteps<void> {
  if ((chunk.type & REPLY_TYPE_ERROR_BIT) === 0) {
    throw protocolFault(`an answer of type ${String(chunk.type)}`);
  }
  if (chunk.length < 6 || chunk.length > ERROR_BYTES_MAX) {
    throw protocolFault(`an error of ${String(chunk.length)} bytes`);
  }
  const payload = yield* takeBytes(chunk.length);
  const view = viewOf(payload);
  const error = view.getUint32(0);
  const textEnd = 6 + view.getUint16(4);
  if (error === 0 || textEnd > chunk.length) {
    throw protocolFault('an error that is none');
  }
  const text = shownText(payload.subarray(6, textEnd));
  waiting.fail(requestFault(nameOf(waiting.request.command), error, text));
}

function safeOffset(view: DataView): number {
  const offset = view.getBigUint64(0);
  return offset <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(offset) : Number.MAX_SAFE_INTEGER;
}

function nameOf(command: Command): string {
  return Object.entries(Command).find(([, code]) => code === command)?.[0] ?? 'request';
}
