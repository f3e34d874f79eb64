import { connect } from 'node:net';
import { TcpProxy } from '../s3/tcp-proxy.ts';

/** A way to a database over TCP: cut, the database is away to its clients. */
export interface DatabaseProxy {
  readonly proxy: TcpProxy;
  /** The database by this way. */
  readonly url: string;
}

export async function proxyToDatabase(url: string): Promise<DatabaseProxy> {
  const { hostname, port, searchParams } = new URL(url);
  const folder = searchParams.get('host');
  const proxy = await TcpProxy.to(() =>
    folder === null
      ? connect(port === '' ? 5432 : Number(port), hostname)
      : connect(`${folder}/.s.PGSQL.5432`),
  );
  const byProxy = new URL(url);
  byProxy.searchParams.delete('host');
  byProxy.hostname = '127.0.0.1';
  byProxy.port = String(proxy.port);
  return { proxy, url: byProxy.href };
}
