import {
  AllocationFlag,
  ReplyFlag,
  ReplyType,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from '../protocol.ts';
import type { ContentExtent } from '../../disk/extent.ts';

/** How a client wants answers. */
export interface AnswerForm {
  readonly structured: boolean;
}

const NOTHING = new Uint8Array(0);

/** Returns the pieces of an answer that says that a request was carried out. */
export function done(
  { structured }: AnswerForm,
  { cookie, offset }: { readonly cookie: bigint; readonly offset: bigint },
  data: Uint8Array | undefined,
): readonly Uint8Array[] {
  if (!structured) {
    return data === undefined ? [simple(cookie, 0)] : [simple(cookie, 0), data];
  }
  if (data === undefined) {
    return [chunk(cookie, ReplyType.none, NOTHING)];
  }
  const place = Buffer.alloc(8);
  place.writeBigUInt64BE(offset);
  return [chunk(cookie, ReplyType.offsetData, place, data.length), data];
}

/** Returns the answer that says that a request failed. @param error one of WireError */
export function failed({ structured }: AnswerForm, cookie: bigint, error: number): Uint8Array {
  if (!structured) {
    return simple(cookie, error);
  }
  // With no text.
  const payload = Buffer.alloc(6);
  payload.writeUInt32BE(error);
  return chunk(cookie, ReplyType.error, payload);
}

/** Returns the answer that says what ranges hold. @param id of the context on this connection */
export function described(cookie: bigint, id: number, runs: readonly ContentExtent[]): Uint8Array {
  const payload = Buffer.alloc(4 + 8 * runs.length);
  payload.writeUInt32BE(id);
  for (const [place, { length, content }] of runs.entries()) {
    payload.writeUInt32BE(length, 4 + 8 * place);
    const flags = content === 'zero' ? AllocationFlag.hole | AllocationFlag.zero : 0;
    payload.writeUInt32BE(flags, 8 + 8 * place);
  }
  return chunk(cookie, ReplyType.blockStatus, payload);
}

function simple(cookie: bigint, error: number): Uint8Array {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(SIMPLE_REPLY_MAGIC, 0);
  head.writeUInt32BE(error, 4);
  head.writeBigUInt64BE(cookie, 8);
  return head;
}

/** @param more bytes of the chunk that follow behind the payload */
function chunk(cookie: bigint, type: number, payload: Uint8Array, more = 0): Uint8Array {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(STRUCTURED_REPLY_MAGIC, 0);
  head.writeUInt16BE(ReplyFlag.done, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeUInt32BE(payload.length + more, 16);
  return Buffer.concat([head, payload]);
}
