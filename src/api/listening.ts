import type { NestExpressApplication } from '@nestjs/platform-express';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { isIPv6, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE } from '../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../kernel/fault.ts';
import { chmod, lstat, mkdir, rm } from '../kernel/files/files.ts';
import { HeldFolder, ownUserId } from '../kernel/files/held-folder.ts';
import { trustConnection } from './access.ts';
import { SOCKET_FILE, SOCKET_FOLDER } from './contract/access.ts';

export interface TcpPlace {
  /** An address of this host. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

export interface Listening extends AsyncDisposable {
  /** Address for people. */
  readonly address: string;
}

/**
 * Listens on the socket of the home, which only the caller holds; removes what an earlier service
 * left there. Dispose of it after the application is closed.
 *
 * @throws Fault `service.home-shared` if the folder of the socket is not ours
 */
export async function listenInHome(app: NestExpressApplication, home: string): Promise<Listening> {
  const path = join(home, SOCKET_FOLDER);
  const folder = await ownFolder(path);
  try {
    const socket = folder.inside(SOCKET_FILE);
    await rm(socket, { force: true });
    app.getHttpServer().on('connection', trustConnection);
    // Until the next line only the folder keeps others away.
    await app.listen(socket);
    await chmod(socket, PRIVATE_FILE_MODE);
  } catch (error) {
    await folder.close();
    throw error;
  }
  return {
    address: join(path, SOCKET_FILE),
    [Symbol.asyncDispose]: async () => {
      await folder.close();
    },
  };
}

/** Opens the folder: private, and made by us or by an earlier service of ours. */
async function ownFolder(path: string): Promise<HeldFolder> {
  await mkdir(path, { mode: PRIVATE_FOLDER_MODE }).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') {
      throw error;
    }
  });
  const found = await lstat(path);
  if (!found.isDirectory() || found.uid !== ownUserId()) {
    throw new Fault(
      'service.home-shared',
      `${path} is not a folder of this user. Remove it, find out who made it, and start again.`,
      { path },
    );
  }
  const folder = await HeldFolder.open(path);
  await chmod(folder.inside(), PRIVATE_FOLDER_MODE);
  return folder;
}

/**
 * Also listens on a TCP port; clients there need the token.
 *
 * @throws Fault `service.already-running` if the port is taken, `request.invalid` if the address is
 *   not one of this host
 */
export async function listenOnTcp(
  app: NestExpressApplication,
  { host, port }: TcpPlace,
): Promise<Listening> {
  await app.init();
  const server = createServer(app.getHttpAdapter().getInstance() as RequestListener);
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw notListening(error, { host, port });
  }
  const bound = server.address() as AddressInfo;
  return {
    address: `http://${isIPv6(host) ? `[${host}]` : host}:${String(bound.port)}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function notListening(error: unknown, { host, port }: TcpPlace): unknown {
  const code = systemCode(error) ?? '';
  const context = { host, port };
  if (code === 'EADDRINUSE') {
    return new Fault(
      'service.already-running',
      `The port ${String(port)} is taken, perhaps by another service; stop it or set HTTP_PORT.`,
      context,
      { cause: error },
    );
  }
  return code === 'EACCES' || code === 'EADDRNOTAVAIL'
    ? new Fault(
        'request.invalid',
        `The service cannot listen at ${host} port ${String(port)} (${code}). Set HTTP_HOST to an address of this host, and HTTP_PORT to one above 1023.`,
        context,
        { cause: error },
      )
    : error;
}
