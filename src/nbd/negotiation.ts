import { Fault } from '../kernel/fault.ts';
import { takeBytes, viewOf, type ByteSteps } from './byte-steps.ts';
import { protocolFault, shownText } from './nbd-fault.ts';
import {
  GREETING_MAGIC,
  HandshakeFlag,
  InfoType,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  OptionCode,
  OptionReply,
} from './protocol.ts';

/** What the client requests. */
export interface ExportWishes {
  readonly exportName: string;
  /** Meta contexts to use if the server has them. */
  readonly contexts: readonly string[];
}

/** What the server agreed to. */
export interface ExportFacts {
  readonly size: number;
  /** Bits of ExportFlag. */
  readonly flags: number;
  readonly structured: boolean;
  /** Requests must be a multiple of this many bytes. */
  readonly blockBytesMin: number;
  /** Longest read or write. */
  readonly requestBytesMax: number;
  /** Names by the id that this connection uses for them. */
  readonly contexts: ReadonlyMap<number, string>;
}

const NAME_BYTES_MAX = 4096;
const OPTION_REPLY_BYTES_MAX = 64 * 1024;
const OPTION_REPLIES_MAX = 64;
/** What the specification lets a client assume if the server does not say. */
const REQUEST_BYTES_DEFAULT = 32 * 1024 * 1024;
const BLOCK_BYTES_MAX = 64 * 1024;
/** Beyond 2^53 − 1 a position is not exact. */
const SIZE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

interface Reply {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** Does the fixed newstyle handshake, up to the point where requests may be sent. */
export function* negotiate(
  wishes: ExportWishes,
  send: (bytes: Uint8Array) => void,
): ByteSteps<ExportFacts> {
  const greeting = viewOf(yield* takeBytes(18));
  if (greeting.getBigUint64(0) !== GREETING_MAGIC || greeting.getBigUint64(8) !== OPTION_MAGIC) {
    throw protocolFault('it greets like no NBD server');
  }
  const offered = greeting.getUint16(16);
  if ((offered & HandshakeFlag.fixedNewstyle) === 0) {
    throw new Fault('nbd.unsupported', 'The NBD server is too old: it knows no options.');
  }
  send(uint32(offered & (HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes)));

  const structured = yield* isGranted(OptionCode.structuredReply, send);
  const contexts =
    structured && wishes.contexts.length > 0
      ? yield* chooseContexts(wishes, send)
      : new Map<number, string>();
  return { ...(yield* go(wishes, send)), structured, contexts };
}

function* isGranted(option: number, send: (bytes: Uint8Array) => void): ByteSteps<boolean> {
  send(optionRequest(option, new Uint8Array(0)));
  const { type } = yield* takeReply(option);
  if (type === OptionReply.ack) {
    return true;
  }
  if (type === OptionReply.errorTlsRequired) {
    throw refusal({ type, payload: new Uint8Array(0) }, '');
  }
  return false;
}

function* chooseContexts(
  wishes: ExportWishes,
  send: (bytes: Uint8Array) => void,
): ByteSteps<Map<number, string>> {
  const queries = wishes.contexts.flatMap((name) => named(name));
  send(
    optionRequest(
      OptionCode.setMetaContext,
      Buffer.concat([...named(wishes.exportName), uint32(wishes.contexts.length), ...queries]),
    ),
  );
  const chosen = new Map<number, string>();
  for (let count = 0; count < OPTION_REPLIES_MAX; count++) {
    const reply = yield* takeReply(OptionCode.setMetaContext);
    if (reply.type === OptionReply.ack) {
      return chosen;
    }
    if (reply.type === OptionReply.errorUnsupported) {
      return new Map();
    }
    if (reply.type !== OptionReply.metaContext) {
      throw refusal(reply, wishes.exportName);
    }
    if (reply.payload.length < 4) {
      throw protocolFault('a meta context without an id');
    }
    const name = Buffer.from(reply.payload.subarray(4)).toString('utf8');
    // A server may answer a query with more than was asked; only contexts that we know are of use.
    if (wishes.contexts.includes(name)) {
      chosen.set(viewOf(reply.payload).getUint32(0), name);
    }
  }
  throw protocolFault('too many meta contexts');
}

type Agreed = Omit<ExportFacts, 'structured' | 'contexts'>;

function* go(wishes: ExportWishes, send: (bytes: Uint8Array) => void): ByteSteps<Agreed> {
  const asked = Buffer.alloc(4);
  asked.writeUInt16BE(1, 0);
  asked.writeUInt16BE(InfoType.blockSize, 2);
  send(optionRequest(OptionCode.go, Buffer.concat([...named(wishes.exportName), asked])));
  let agreed: Partial<Agreed> = {};
  for (let count = 0; count < OPTION_REPLIES_MAX; count++) {
    const reply = yield* takeReply(OptionCode.go);
    if (reply.type === OptionReply.ack) {
      const { size, flags, blockBytesMin = 1, requestBytesMax = REQUEST_BYTES_DEFAULT } = agreed;
      if (size === undefined || flags === undefined) {
        throw protocolFault('an export without a size');
      }
      return { size, flags, blockBytesMin, requestBytesMax };
    }
    if (reply.type !== OptionReply.info) {
      throw refusal(reply, wishes.exportName);
    }
    agreed = { ...agreed, ...readInfo(reply.payload) };
  }
  throw protocolFault('too many facts about the export');
}

function readInfo(payload: Uint8Array): Partial<Agreed> {
  const view = viewOf(payload);
  if (payload.length < 2) {
    throw protocolFault('a fact about the export without a type');
  }
  switch (view.getUint16(0)) {
    case InfoType.export:
      return readExport(view);
    case InfoType.blockSize:
      return readBlockSize(view);
    default:
      return {};
  }
}

function readExport(view: DataView): Partial<Agreed> {
  const size = view.byteLength === 12 ? view.getBigUint64(2) : SIZE_MAX + 1n;
  if (size > SIZE_MAX) {
    throw protocolFault('an export without a sensible size');
  }
  return { size: Number(size), flags: view.getUint16(10) };
}

function readBlockSize(view: DataView): Partial<Agreed> {
  if (view.byteLength !== 14) {
    throw protocolFault('block sizes of the wrong form');
  }
  const blockBytesMin = view.getUint32(2);
  const requestBytesMax = view.getUint32(10);
  const isPowerOfTwo = blockBytesMin !== 0 && (blockBytesMin & (blockBytesMin - 1)) === 0;
  if (!isPowerOfTwo || blockBytesMin > BLOCK_BYTES_MAX || requestBytesMax < blockBytesMin) {
    throw protocolFault(`blocks of ${String(blockBytesMin)} bytes`);
  }
  return { blockBytesMin, requestBytesMax };
}

function* takeReply(option: number): ByteSteps<Reply> {
  const header = viewOf(yield* takeBytes(20));
  const length = header.getUint32(16);
  if (header.getBigUint64(0) !== OPTION_REPLY_MAGIC || header.getUint32(8) !== option) {
    throw protocolFault('an answer to another question');
  }
  if (length > OPTION_REPLY_BYTES_MAX) {
    throw protocolFault(`an answer of ${String(length)} bytes`);
  }
  return { type: header.getUint32(12), payload: yield* takeBytes(length) };
}

function refusal({ type, payload }: Reply, exportName: string): Fault {
  const said = payload.length === 0 ? '' : `: ${shownText(payload)}`;
  switch (type) {
    case OptionReply.errorUnknown:
      return new Fault(
        'nbd.export-missing',
        `The NBD server has no export named "${exportName}"${said}.`,
        { exportName },
      );
    case OptionReply.errorPolicy:
      return new Fault('nbd.refused', `The NBD server refuses this client${said}.`);
    case OptionReply.errorTlsRequired:
      return new Fault(
        'nbd.unsupported',
        'The NBD server wants TLS; give it a unix socket instead.',
      );
    case OptionReply.errorShutdown:
      return new Fault('nbd.disconnected', 'The NBD server is shutting down; repeat later.');
    default:
      return (type & 0x8000_0000) === 0
        ? protocolFault(`an answer of type ${String(type)}`)
        : new Fault('nbd.unsupported', `The NBD server cannot serve this client${said}.`, { type });
  }
}

function optionRequest(option: number, payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(16);
  header.writeBigUInt64BE(OPTION_MAGIC, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(payload.length, 12);
  return Buffer.concat([header, payload]);
}

/** Returns a name preceded by its length. */
function named(name: string): [Uint8Array, Uint8Array] {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > NAME_BYTES_MAX) {
    throw new Fault('nbd.export-missing', 'A name of an export has at most 4096 bytes.');
  }
  return [uint32(bytes.length), bytes];
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
