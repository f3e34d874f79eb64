import { Client } from 'pg';
import { JobLeases } from '../../../src/catalog/jobs/job-leases.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { SHORT_LEASES } from './short-leases.ts';

/* Holds a claim in a database, and when it was renewed, its main loop turns no more. */

const [url = '', id = '', token = ''] = process.argv.slice(2);
const terms = { ...SHORT_LEASES, standstillMs: 3 * SHORT_LEASES.leaseMs };
new JobLeases({ url }, terms, new SilentLog()).hold(id, token);
const client = new Client({ connectionString: url });
await client.connect();
const lease = async (): Promise<unknown> => {
  const { rows } = await client.query<{ until: string }>(
    'SELECT "lease_until_ms" AS "until" FROM "job" WHERE "id" = $1',
    [id],
  );
  return rows[0]?.until;
};
const first = await lease();
while ((await lease()) === first) {
  // A statement takes its time.
}
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
