import { SilentLog } from '../../../src/kernel/log.ts';
import { startEmbeddedPostgres } from '../../../src/platform/database/embedded-postgres.ts';

/* Starts the PostgreSQL of a home, prints its process and goes on until it is killed. */

const [, , home = ''] = process.argv;
const { pid } = await startEmbeddedPostgres(
  { home },
  new SilentLog(),
  new AbortController().signal,
);
process.stdout.write(String(pid));
