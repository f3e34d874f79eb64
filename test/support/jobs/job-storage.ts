import type { DataSource } from 'typeorm';
import type { CatalogConnection } from '../../../src/catalog/database/catalog-source.ts';
import { HandOut } from '../../../src/catalog/jobs/hand-out.ts';
import { JobClaims } from '../../../src/catalog/jobs/job-claims.ts';
import { JobLeases } from '../../../src/catalog/jobs/job-leases.ts';
import { JobRows } from '../../../src/catalog/jobs/job-rows.ts';
import { JobSignals } from '../../../src/catalog/jobs/job-signals.ts';
import type { JobStorage } from '../../../src/jobs/live-job.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { SHORT_LEASES } from './short-leases.ts';

/** Has everything that jobs need, as every other host. */
const EVERYBODY = { isFor: () => true, problem: () => undefined };

/** Jobs in a database, as a service has them. Close it before the source. */
export async function openJobStorage(
  source: DataSource,
  connection: CatalogConnection,
  terms = SHORT_LEASES,
  vaults: JobStorage['vaults'] = { look: async () => EVERYBODY },
) {
  const log = new SilentLog();
  const place = 'url' in connection ? { url: connection.url } : connection;
  const held = new AsyncDisposableStack();
  const handOut = held.use(await HandOut.open(source, log));
  const leases = held.use(new JobLeases(place, terms, log));
  const signals = held.use(new JobSignals(connection));
  return {
    handOut,
    rows: new JobRows(source, handOut),
    claims: new JobClaims(source, handOut),
    leases,
    signals,
    vaults,
    [Symbol.asyncDispose]: async () => held.disposeAsync(),
  };
}

export type OpenJobStorage = Awaited<ReturnType<typeof openJobStorage>>;
