import { takeBytes, viewOf, type ByteSteps } from '../byte-steps.ts';
import { clientFault } from '../nbd-fault.ts';
import {
  BASE_ALLOCATION,
  GREETING_MAGIC,
  HandshakeFlag,
  InfoType,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  OptionCode,
  OptionReply,
} from '../protocol.ts';

/** What a server tells about an export. */
export interface OfferedExport {
  readonly size: number;
  /** Bits of ExportFlag. */
  readonly flags: number;
}

export interface HandshakeOffer {
  readonly exports: ReadonlyMap<string, OfferedExport>;
  /** Whether clients may ask what ranges hold, and get answers in chunks. */
  readonly structured: boolean;
}

/** What server and client agreed to. */
export interface Agreement {
  readonly exportName: string;
  readonly structured: boolean;
  /** Id of `base:allocation` on this connection, if the client wants it. */
  readonly allocationId?: number;
}

/** The longest read or write that is answered. */
export const REQUEST_BYTES_MAX = 32 * 1024 * 1024;
const BLOCK_BYTES_PREFERRED = 64 * 1024;
const OPTION_BYTES_MAX = 64 * 1024;
const SKIPPED_BYTES_MAX = 1024 * 1024;
const OPTIONS_MAX = 1000;
const NAME_BYTES_MAX = 4096;
const ALLOCATION_ID = 1;
/** Zeroes that clients of the first version expect behind the facts of an export. */
const PADDING_BYTES = 124;
const ASK_FOR_ALL_IN_NAMESPACE = 'base:';

type Send = (bytes: Uint8Array) => void;

/**
 * Does the server's side of the fixed newstyle handshake.
 *
 * @returns undefined if the client says goodbye
 * @throws Fault `nbd.client-broken` if the client breaks the protocol, or asks in the oldest way
 *   for an export that is not there, which has no other answer
 */
export function* shakeHands(offer: HandshakeOffer, send: Send): ByteSteps<Agreement | undefined> {
  send(greeting());
  const flags = viewOf(yield* takeBytes(4)).getUint32(0);
  if ((flags & ~(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes)) !== 0) {
    throw clientFault('it wants what this server does not know');
  }
  return yield* new Handshake(offer, send, (flags & HandshakeFlag.noZeroes) !== 0).options();
}

class Handshake {
  private readonly offer: HandshakeOffer;
  private readonly send: Send;
  private readonly isShort: boolean;
  private structured = false;
  /** The export for which the client has chosen `base:allocation`. */
  private described: string | undefined;

  constructor(offer: HandshakeOffer, send: Send, isShort: boolean) {
    this.offer = offer;
    this.send = send;
    this.isShort = isShort;
  }

  *options(): ByteSteps<Agreement | undefined> {
    for (let count = 0; count < OPTIONS_MAX; count++) {
      const head = viewOf(yield* takeBytes(16));
      if (head.getBigUint64(0) !== OPTION_MAGIC) {
        throw clientFault('an option does not begin as one');
      }
      const option = head.getUint32(8);
      const length = head.getUint32(12);
      if (length > OPTION_BYTES_MAX) {
        yield* this.skip(option, length);
        continue;
      }
      const data = yield* takeBytes(length);
      if (option === OptionCode.abort) {
        this.reply(option, OptionReply.ack);
        return undefined;
      }
      const agreed = this.answer(option, data);
      if (agreed !== undefined) {
        return agreed;
      }
    }
    throw clientFault('it never chooses an export');
  }

  private *skip(option: number, length: number): ByteSteps<void> {
    if (length > SKIPPED_BYTES_MAX || option === OptionCode.exportName) {
      throw clientFault(`an option has ${String(length)} bytes`);
    }
    yield { target: undefined, length };
    this.reply(option, OptionReply.errorTooBig);
  }

  private answer(option: number, data: Uint8Array): Agreement | undefined {
    switch (option) {
      case OptionCode.exportName:
        return this.byName(data);
      case OptionCode.go:
      case OptionCode.info:
        return this.inform(option, data);
      case OptionCode.list:
        this.list(data);
        return undefined;
      case OptionCode.structuredReply:
        this.allowStructure(data);
        return undefined;
      case OptionCode.setMetaContext:
      case OptionCode.listMetaContext:
        this.contexts(option, data);
        return undefined;
      default:
        this.reply(option, OptionReply.errorUnsupported);
        return undefined;
    }
  }

  /** The oldest way: there is no answer that says no. */
  private byName(data: Uint8Array): Agreement {
    const name = textOf(data);
    const found = this.offer.exports.get(name);
    if (found === undefined) {
      throw clientFault('it wants an export that is not there');
    }
    this.send(factsOf(found));
    if (!this.isShort) {
      this.send(new Uint8Array(PADDING_BYTES));
    }
    return this.agreed(name);
  }

  private inform(option: number, data: Uint8Array): Agreement | undefined {
    const cursor = new Cursor(data);
    const name = cursor.text();
    const count = cursor.uint16();
    cursor.skip(2 * (count ?? 0));
    if (name === undefined || count === undefined || !cursor.isAtEnd) {
      this.reply(option, OptionReply.errorInvalid);
      return undefined;
    }
    const found = this.offer.exports.get(name);
    if (found === undefined) {
      this.reply(option, OptionReply.errorUnknown);
      return undefined;
    }
    this.reply(option, OptionReply.info, Buffer.concat([uint16(InfoType.export), factsOf(found)]));
    this.reply(option, OptionReply.info, blockSizes());
    this.reply(option, OptionReply.ack);
    return option === OptionCode.go ? this.agreed(name) : undefined;
  }

  private list(data: Uint8Array): void {
    if (data.length > 0) {
      this.reply(OptionCode.list, OptionReply.errorInvalid);
      return;
    }
    for (const name of this.offer.exports.keys()) {
      const bytes = Buffer.from(name);
      this.reply(OptionCode.list, OptionReply.server, Buffer.concat([uint32(bytes.length), bytes]));
    }
    this.reply(OptionCode.list, OptionReply.ack);
  }

  private allowStructure(data: Uint8Array): void {
    if (!this.offer.structured) {
      this.reply(OptionCode.structuredReply, OptionReply.errorUnsupported);
      return;
    }
    if (data.length > 0) {
      this.reply(OptionCode.structuredReply, OptionReply.errorInvalid);
      return;
    }
    this.structured = true;
    this.reply(OptionCode.structuredReply, OptionReply.ack);
  }

  private contexts(option: number, data: Uint8Array): void {
    if (!this.offer.structured) {
      this.reply(option, OptionReply.errorUnsupported);
      return;
    }
    const isSet = option === OptionCode.setMetaContext;
    if (isSet) {
      this.described = undefined;
    }
    const asked = isSet && !this.structured ? undefined : contextQueries(data);
    if (asked === undefined) {
      this.reply(option, OptionReply.errorInvalid);
      return;
    }
    if (!this.offer.exports.has(asked.name)) {
      this.reply(option, OptionReply.errorUnknown);
      return;
    }
    if (asked.queries.includes(BASE_ALLOCATION) || (!isSet && isForAll(asked.queries))) {
      const id = uint32(isSet ? ALLOCATION_ID : 0);
      this.reply(
        option,
        OptionReply.metaContext,
        Buffer.concat([id, Buffer.from(BASE_ALLOCATION)]),
      );
      this.described = isSet ? asked.name : this.described;
    }
    this.reply(option, OptionReply.ack);
  }

  private agreed(exportName: string): Agreement {
    const { structured } = this;
    // A choice for another export does not count.
    const isDescribed = structured && this.described === exportName;
    return { exportName, structured, ...(isDescribed ? { allocationId: ALLOCATION_ID } : {}) };
  }

  private reply(option: number, type: number, data: Uint8Array = new Uint8Array(0)): void {
    const head = Buffer.alloc(20);
    head.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
    head.writeUInt32BE(option, 8);
    head.writeUInt32BE(type, 12);
    head.writeUInt32BE(data.length, 16);
    this.send(Buffer.concat([head, data]));
  }
}

/** Reads fields of an option; undefined where the bytes end too early. */
class Cursor {
  private readonly data: Uint8Array;
  private readonly view: DataView;
  private position = 0;

  constructor(data: Uint8Array) {
    this.data = data;
    this.view = viewOf(data);
  }

  get isAtEnd(): boolean {
    return this.position === this.data.length;
  }

  uint16(): number | undefined {
    const at = this.take(2);
    return at === undefined ? undefined : this.view.getUint16(at);
  }

  uint32(): number | undefined {
    const at = this.take(4);
    return at === undefined ? undefined : this.view.getUint32(at);
  }

  text(): string | undefined {
    const length = this.uint32();
    const at = length === undefined || length > NAME_BYTES_MAX ? undefined : this.take(length);
    return at === undefined ? undefined : textOf(this.data.subarray(at, this.position));
  }

  skip(length: number): void {
    this.take(length);
  }

  private take(length: number): number | undefined {
    const at = this.position;
    if (at + length > this.data.length) {
      // Nothing that follows can be meant.
      this.position = Infinity;
      return undefined;
    }
    this.position = at + length;
    return at;
  }
}

function isForAll(queries: readonly string[]): boolean {
  return queries.length === 0 || queries.includes(ASK_FOR_ALL_IN_NAMESPACE);
}

function contextQueries(
  data: Uint8Array,
): { readonly name: string; readonly queries: readonly string[] } | undefined {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const count = cursor.uint32();
  const queries: string[] = [];
  for (let left = count ?? 0; left > 0; left--) {
    const query = cursor.text();
    if (query === undefined) {
      return undefined;
    }
    queries.push(query);
  }
  return name === undefined || count === undefined || !cursor.isAtEnd
    ? undefined
    : { name, queries };
}

function greeting(): Uint8Array {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(GREETING_MAGIC, 0);
  bytes.writeBigUInt64BE(OPTION_MAGIC, 8);
  bytes.writeUInt16BE(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes, 16);
  return bytes;
}

function factsOf({ size, flags }: OfferedExport): Uint8Array {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(size), 0);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

function blockSizes(): Uint8Array {
  return Buffer.concat([
    uint16(InfoType.blockSize),
    uint32(1),
    uint32(BLOCK_BYTES_PREFERRED),
    uint32(REQUEST_BYTES_MAX),
  ]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
