import assert from 'node:assert/strict';
import { writeSync } from '../../kernel/files/files.ts';
import { parentPort, workerData } from 'node:worker_threads';
import { Client } from 'pg';
import type { CatalogConnection } from '../database/catalog-source.ts';
import { clientConfig } from '../database/client-config.ts';
import { SystemClock } from '../../kernel/clock.ts';
import type { LeaseNews, LeaseOrder, LeaseTerms } from './lease-messages.ts';

/** A count that must go up. */
interface Watched {
  readonly counts: Int32Array;
  seen: number;
  /** Looks since it went up; not a time, because the whole process may have been stopped. */
  looks: number;
}

const RENEW = `UPDATE "job" SET "lease_until_ms" = $1 WHERE "state" = 'running'
  AND ("id", "token") IN (SELECT * FROM unnest($2::uuid[], $3::uuid[]))
  RETURNING "id", "cancel_requested" AS "isCancelled"`;

assert(parentPort !== null, 'this file runs in a worker thread');
const port = parentPort;
const { connection, terms, loop } = workerData as {
  readonly connection: CatalogConnection;
  readonly terms: LeaseTerms;
  readonly loop: Int32Array;
};
const clock = new SystemClock();
const held = new Map<string, { readonly token: string; readonly signs: Watched; stuck: boolean }>();
const turns = watched(loop);
let client: Client | undefined;
let renewing = false;

port.on('message', (order: LeaseOrder) => {
  if ('release' in order) {
    held.delete(order.release);
  } else {
    held.set(order.hold, { token: order.token, signs: watched(order.signs), stuck: false });
  }
});
setInterval(() => void renew(), terms.renewMs);

function watched(counts: Int32Array): Watched {
  return { counts, seen: Atomics.load(counts, 0), looks: 0 };
}

/** Returns for how long nothing was counted. */
function stillMs(of: Watched): number {
  return of.looks * terms.renewMs;
}

function look(at: Watched): void {
  const now = Atomics.load(at.counts, 0);
  at.looks = now === at.seen ? at.looks + 1 : 0;
  at.seen = now;
}

async function renew(): Promise<void> {
  look(turns);
  for (const { signs } of held.values()) {
    look(signs);
  }
  const alive = [...held].filter(([id, job]) => isAlive(id, job));
  if (renewing || alive.length === 0) {
    return;
  }
  renewing = true;
  try {
    client ??= await connect();
    const until = clock.nowMs() + terms.leaseMs;
    const ids = alive.map(([id]) => id);
    const tokens = alive.map(([, { token }]) => token);
    const found = await client.query<{ id: string; isCancelled: boolean }>(RENEW, [
      ...[until, ids, tokens],
    ]);
    tellOf(ids, found.rows);
  } catch {
    // The database is away, which its holder tells; nobody else can claim anything either.
    void client?.end().catch(() => undefined);
    client = undefined;
  } finally {
    renewing = false;
  }
}

async function connect(): Promise<Client> {
  const made = new Client(clientConfig(connection, 'hyperkeep leases'));
  made.on('error', () => undefined);
  await made.connect();
  return made;
}

function tellOf(
  ids: readonly string[],
  found: readonly { id: string; isCancelled: boolean }[],
): void {
  for (const id of ids) {
    const row = found.find((each) => each.id === id);
    if (row === undefined) {
      held.delete(id);
      say({ news: 'lost', id });
    } else if (row.isCancelled) {
      say({ news: 'cancel', id });
    }
  }
}

function say(news: LeaseNews): void {
  port.postMessage(news);
}

/** Whether the job goes on. One that does not is told first, and later ends the process. */
function isAlive(id: string, job: { readonly signs: Watched; stuck: boolean }): boolean {
  const ms = Math.max(stillMs(job.signs), stillMs(turns));
  if (ms < terms.standstillMs) {
    job.stuck = false;
    return true;
  }
  if (!job.stuck) {
    job.stuck = true;
    say({ news: 'stuck', id });
  }
  // Its lease is over by now, and somebody else may do its work.
  if (ms > terms.standstillMs + 2 * terms.leaseMs) {
    const line = { level: 'error', event: 'service.stands-still', jobId: id, ms };
    writeSync(2, `${JSON.stringify(line)}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
  return false;
}
