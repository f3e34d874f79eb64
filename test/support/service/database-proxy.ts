import { connect, type Socket } from 'node:net';
import { TcpProxy } from '../s3/tcp-proxy.ts';

/** A way to a database over TCP: cut, the database is away to its clients. */
export interface DatabaseProxy {
  readonly proxy: TcpProxy;
  /** The database by this way. */
  readonly url: string;
}

export async function proxyToDatabase(url: string): Promise<DatabaseProxy> {
  const proxy = await TcpProxy.to(() => connectToDatabase(url));
  return { proxy, url: byPort(url, proxy.port) };
}

/** @param url of the database, over TCP or a socket in a folder */
export function connectToDatabase(url: string): Socket {
  const { hostname, port, searchParams } = new URL(url);
  const folder = searchParams.get('host');
  const number = port === '' ? 5432 : Number(port);
  return folder === null
    ? connect(number, hostname)
    : connect(`${folder}/.s.PGSQL.${String(number)}`);
}

/** Returns the address of the database by a port of this machine. */
export function byPort(url: string, port: number): string {
  const by = new URL(url);
  by.searchParams.delete('host');
  by.hostname = '127.0.0.1';
  by.port = String(port);
  return by.href;
}
