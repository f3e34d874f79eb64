import type { ClientConfig } from 'pg';
import type { CatalogConnection } from './catalog-source.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 15_000;

/** Returns the settings of a connection beside those of the source. */
export function clientConfig(connection: CatalogConnection, name: string): ClientConfig {
  return {
    ...('url' in connection ? { connectionString: connection.url } : connection),
    application_name: name,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
  };
}
