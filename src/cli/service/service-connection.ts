import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectSecurely } from 'node:tls';
import { SOCKET_FILE, SOCKET_FOLDER } from '../../api/contract/access.ts';
import { Fault, type FaultCode, isAbort, systemCode } from '../../kernel/fault.ts';
import { stat } from '../../kernel/files/files.ts';
import { distrust, HeldFolder, type Rights } from '../../kernel/files/held-folder.ts';
import { requireOwnListener } from './loopback-owner.ts';

/** A way to a service that is proven to be the intended one before anything is sent. */
export interface ServiceConnection {
  /** For people, in messages. */
  readonly name: string;
  /** `Host` header of requests. */
  readonly host: string;
  /** Token of requests; the socket of a home needs none. */
  readonly token?: string;
  /** @throws Fault `service.unreachable`, `request.denied` if the service is somebody else's */
  open(signal: AbortSignal): Promise<Socket>;
}

type Explanation = (home: string) => [FaultCode, string];

/**
 * Connects to the service of a home over its socket. Only our own user and root can have made it:
 * the folder is checked through the descriptor that is then used.
 */
export function connectionInHome(home: string): ServiceConnection {
  return {
    name: `the service in ${home}`,
    host: 'localhost',
    open: async (signal) => {
      try {
        return await openInHome(join(home, SOCKET_FOLDER), signal);
      } catch (error) {
        throw explained(error, home);
      }
    },
  };
}

/**
 * Connects to the service that HYPERKEEP_URL names: its certificate proves it or, on this host, its
 * user.
 */
export function connectionTo(address: string, token: string): ServiceConnection {
  const url = new URL(address);
  return {
    name: url.origin,
    host: url.host,
    token,
    open: async (signal) => {
      try {
        return await openTo(url, signal);
      } catch (error) {
        throw error instanceof Fault || isAbort(error) ? error : unreachable(url, error);
      }
    },
  };
}

async function openInHome(path: string, signal: AbortSignal): Promise<Socket> {
  await using folder = await HeldFolder.open(path);
  requireTrusted(path, await folder.rights());
  const socket = folder.inside(SOCKET_FILE);
  requireTrusted(join(path, SOCKET_FILE), await stat(socket));
  return await connected(connect({ path: socket }), 'connect', signal);
}

async function openTo(url: URL, signal: AbortSignal): Promise<Socket> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'https:') {
    const port = Number(url.port || '443');
    const servername = isIP(host) === 0 ? { servername: host } : {};
    const socket = connectSecurely({ host, port, ...servername });
    return await connected(socket, 'secureConnect', signal);
  }
  const port = Number(url.port || '80');
  await requireOwnListener(url, port);
  const socket = await connected(connect({ host, port }), 'connect', signal);
  try {
    // Another process may have begun to listen before we were connected.
    await requireOwnListener(url, port);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function connected(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<Socket> {
  try {
    await once(socket, event, { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function requireTrusted(path: string, rights: Rights): void {
  const reason = distrust(rights);
  if (reason !== undefined) {
    throw new Fault(
      'request.denied',
      `${path} ${reason}, so it is not sure whose service that is. Nothing was sent. Run the command as the user that runs the service.`,
      { path },
    );
  }
}

function explained(error: unknown, home: string): unknown {
  const code = systemCode(error) ?? '';
  const explain = EXPLANATIONS[code];
  if (explain === undefined) {
    return error;
  }
  const [fault, text] = explain(home);
  return new Fault(fault, text, { home }, { cause: error });
}

const notRunning: Explanation = (home) => [
  'service.unreachable',
  `No service is running in ${home}. Start it with: hyperkeep serve. If its home is elsewhere, set HYPERKEEP_HOME.`,
];
const notAFolder: Explanation = (home) => [
  'request.denied',
  `${join(home, SOCKET_FOLDER)} is not the folder of a service. Nothing was sent. Find out who made it, and remove it.`,
];
/** By the code of the system error. */
const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ENOENT: notRunning,
  ECONNREFUSED: notRunning,
  ENOTDIR: notAFolder,
  ELOOP: notAFolder,
  EACCES: (home) => [
    'request.denied',
    `The service in ${home} belongs to another user. Run the command as the user that runs the service.`,
  ],
};

function unreachable({ origin }: URL, cause: unknown): Fault {
  return new Fault(
    'service.unreachable',
    `The service at ${origin} does not answer (${systemCode(cause) ?? 'no connection'}). Start it with: hyperkeep serve; its HTTP_PORT and HTTP_HOST say where it listens.`,
    { url: origin },
    { cause },
  );
}
