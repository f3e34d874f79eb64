import { Fault } from '../kernel/fault.ts';
import { WireError } from './protocol.ts';

const TEXT_CHARACTERS_MAX = 200;

/** The server did what the protocol forbids: nothing it sends can be trusted any more. */
export function protocolFault(what: string): Fault {
  return new Fault(
    'nbd.protocol-broken',
    `The NBD server breaks the protocol: ${what}. Nothing that was read is used; check what serves the disk.`,
  );
}

/** A client did what the protocol forbids: its connection ends, and nothing else does. */
export function clientFault(what: string): Fault {
  return new Fault('nbd.client-broken', `The NBD client breaks the protocol: ${what}.`);
}

/** Returns a server's text in a form that is safe to show. */
export function shownText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('utf8')
    .replaceAll(/[^ -~]/g, '?')
    .slice(0, TEXT_CHARACTERS_MAX);
}

/** Returns the fault for an error number in a reply. `text` is the server's explanation. */
export function requestFault(command: string, error: number, text: string): Fault {
  const said = text === '' ? '' : `: ${text}`;
  const context = { command, error };
  switch (error) {
    case WireError.noSpace:
      return new Fault(
        'host.disk-full',
        `The host has no space left for the disk (${command}${said}). Free some space and repeat.`,
        context,
      );
    case WireError.notPermitted:
      return new Fault('nbd.refused', `The NBD server refuses the ${command}${said}.`, context);
    case WireError.notSupported:
      return new Fault('nbd.unsupported', `The NBD server cannot do a ${command}${said}.`, context);
    case WireError.shutdown:
      return new Fault(
        'nbd.disconnected',
        `The NBD server is shutting down (${command}${said}). Repeat when it is back.`,
        context,
      );
    default:
      return new Fault(
        'nbd.request-failed',
        `The NBD server answered a ${command} with error ${String(error)}${said}. Check the storage below it.`,
        context,
      );
  }
}
