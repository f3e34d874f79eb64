import type { Client } from 'pg';

/**
 * Key of the lock on the tables, "hk-owner" in ASCII: services that use them share it, and whoever
 * changes them has it alone. Versions that let one service into a database have it alone for good.
 */
export const TABLES_LOCK = '7524157559220888946';

/** A session that holds an advisory lock. */
export interface LockHolder {
  /** Process, machine and home of a service. */
  readonly name: string;
  /** Whether nobody else can hold the lock meanwhile. */
  readonly alone: boolean;
}

const HOLDERS = `SELECT application_name AS name, l.mode = 'ExclusiveLock' AS alone
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.pid <> pg_backend_pid() ORDER BY name`;

/** Returns the key of the lock that the service of a host holds. */
export function hostLock(hostId: string): string {
  const bytes = Buffer.from(hostId.replaceAll('-', ''), 'hex');
  return String(bytes.readBigInt64BE(0) ^ bytes.readBigInt64BE(8));
}

/** Locks for this session, at once or not at all. */
export async function tryLock(
  client: Client,
  key: string,
  mode: 'alone' | 'shared',
): Promise<boolean> {
  const lock = mode === 'alone' ? 'pg_try_advisory_lock' : 'pg_try_advisory_lock_shared';
  const { rows } = await client.query<{ locked: boolean }>(`SELECT ${lock}($1) AS locked`, [key]);
  return rows[0]?.locked === true;
}

export async function unlock(client: Client, key: string, mode: 'alone' | 'shared'): Promise<void> {
  const release = mode === 'alone' ? 'pg_advisory_unlock' : 'pg_advisory_unlock_shared';
  await client.query(`SELECT ${release}($1)`, [key]);
}

/** Lists the other sessions that hold a lock. */
export async function lockHolders(client: Client, key: string): Promise<LockHolder[]> {
  return (await client.query<LockHolder>(HOLDERS, [key])).rows;
}

/** Returns how messages call a service: its process, machine and home. */
export function serviceName({ name }: LockHolder): string {
  return name.replace(/^hyperkeep /, 'process ');
}
