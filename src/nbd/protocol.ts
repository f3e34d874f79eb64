/**
 * Numbers of the NBD protocol, named as in the specification:
 * https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */

/** "NBDMAGIC" */
export const GREETING_MAGIC = 0x4e42444d41474943n;
/** "IHAVEOPT" */
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

export const HandshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OptionCode = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const OptionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errorUnsupported: 0x8000_0001,
  errorPolicy: 0x8000_0002,
  errorInvalid: 0x8000_0003,
  errorTlsRequired: 0x8000_0005,
  errorUnknown: 0x8000_0006,
  errorShutdown: 0x8000_0007,
  errorTooBig: 0x8000_0009,
} as const;

export const InfoType = { export: 0, blockSize: 3 } as const;

export const ExportFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendForceAccess: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  canMultiConn: 1 << 8,
} as const;

export const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  writeZeroes: 6,
  blockStatus: 7,
} as const;
export type Command = (typeof Command)[keyof typeof Command];

export const CommandFlag = { forceAccess: 1 << 0, oneExtent: 1 << 3 } as const;

export const ReplyFlag = { done: 1 } as const;

export const ReplyType = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;
/** Set in the type of every error reply. */
export const REPLY_TYPE_ERROR_BIT = 0x8000;

/** Error numbers of the protocol, which may differ from the system's. */
export const WireError = {
  notPermitted: 1,
  io: 5,
  invalid: 22,
  noSpace: 28,
  notSupported: 95,
  shutdown: 108,
} as const;

/** What a range holds, in the context `base:allocation`. */
export const AllocationFlag = { hole: 1, zero: 2 } as const;

export const BASE_ALLOCATION = 'base:allocation';
/** 0: allocated nowhere; 1: in the top layer; 2 and more: further down. */
export const ALLOCATION_DEPTH = 'qemu:allocation-depth';

export const REQUEST_HEADER_BYTES = 28;
