/** What an NBD server writes, byte by byte. Lengths can be wrong on purpose. */

export function greeting(flags = 3): Buffer {
  const bytes = Buffer.from('NBDMAGICIHAVEOPT\0\0', 'latin1');
  bytes.writeUInt16BE(flags, 16);
  return bytes;
}

export function optionReply(
  option: number,
  type: number,
  payload: Uint8Array = Buffer.alloc(0),
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(0x0003e889045565a9n, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type >>> 0, 12);
  head.writeUInt32BE(length, 16);
  return Buffer.concat([head, payload]);
}

/** The fact that an export has a size; read-only unless the flags say otherwise. */
export function exportInfo(size: number | bigint, flags = 3): Buffer {
  const payload = Buffer.alloc(12);
  payload.writeBigUInt64BE(BigInt(size), 2);
  payload.writeUInt16BE(flags, 10);
  return optionReply(7, 3, payload);
}

export function simpleReply(cookie: bigint, error: number, payload?: Uint8Array): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(0x67446698, 0);
  head.writeUInt32BE(error, 4);
  head.writeBigUInt64BE(cookie, 8);
  return Buffer.concat([head, payload ?? Buffer.alloc(0)]);
}

export interface ReplyHead {
  readonly cookie: bigint;
  readonly type: number;
  readonly isLast: boolean;
}

export function structuredReply(
  { cookie, type, isLast }: ReplyHead,
  payload: Uint8Array = Buffer.alloc(0),
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(0x668e33ef, 0);
  head.writeUInt16BE(isLast ? 1 : 0, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeUInt32BE(length, 16);
  return Buffer.concat([head, payload]);
}
