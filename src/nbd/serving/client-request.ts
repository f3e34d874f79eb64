import { takeBytes, viewOf, type ByteSteps } from '../byte-steps.ts';
import { clientFault } from '../nbd-fault.ts';
import { Command, REQUEST_HEADER_BYTES, REQUEST_MAGIC } from '../protocol.ts';
import { REQUEST_BYTES_MAX } from './handshake.ts';

/** A request as it came. Nothing about its range is checked yet, but for the length of its data. */
export interface ClientRequest {
  readonly command: number;
  /** Bits of CommandFlag. */
  readonly flags: number;
  readonly cookie: bigint;
  readonly offset: bigint;
  readonly length: number;
  /** Of a write; undefined if there was too much of it. */
  readonly data?: Uint8Array;
}

/**
 * Reads the next request with its data.
 * @returns undefined if the client says goodbye
 * @throws Fault `nbd.client-broken`
 */
export function* takeRequest(): ByteSteps<ClientRequest | undefined> {
  const head = viewOf(yield* takeBytes(REQUEST_HEADER_BYTES));
  if (head.getUint32(0) !== REQUEST_MAGIC) {
    throw clientFault('a request does not begin as one');
  }
  const command = head.getUint16(6);
  if (command === Command.disconnect) {
    return undefined;
  }
  const request = {
    command,
    flags: head.getUint16(4),
    cookie: head.getBigUint64(8),
    offset: head.getBigUint64(16),
    length: head.getUint32(24),
  };
  if (command !== Command.write) {
    return request;
  }
  if (request.length > REQUEST_BYTES_MAX) {
    yield { target: undefined, length: request.length };
    return request;
  }
  return { ...request, data: yield* takeBytes(request.length) };
}
