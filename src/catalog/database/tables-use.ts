import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { Fault } from '../../kernel/fault.ts';
import {
  lockHolders,
  serviceName,
  TABLES_LOCK,
  tryLock,
  unlock,
  type LockHolder,
} from './advisory-locks.ts';
import type { DatabasePlace } from './database-fault.ts';

/** A service that was killed a moment ago is not one that uses the tables. */
const PATIENCE_MS = 3000;
const POLL_MS = 200;

export interface TablesUse {
  readonly place: DatabasePlace;
  /** Of this version, ascending. */
  readonly migrations: readonly string[];
  /** Brings the tables to this version. Undefined: they are used as they are. */
  readonly migrate: (() => Promise<void>) | undefined;
  /** Waits for services of an older version to end. */
  readonly waitsForOlder: boolean;
  /** Tells people why it takes so long. */
  readonly say: (sentence: string) => void;
}

/**
 * Lets this session use the tables beside other services, and brings them to this version first,
 * which needs them alone.
 *
 * @throws Fault `database.newer` if they are of a newer version; `database.older-hosts` if they are
 *   of an older one and others use them
 */
export async function useTables(
  client: Client,
  use: TablesUse,
  signal: AbortSignal,
): Promise<void> {
  const wait = new Wait(use);
  for (;;) {
    signal.throwIfAborted();
    const isOlder = (await areOlder(client, use)) && use.migrate !== undefined;
    const mode = isOlder ? 'alone' : 'shared';
    if (await tryLock(client, TABLES_LOCK, mode)) {
      if (await settled(client, use, mode)) {
        return;
      }
    } else {
      wait.met(await lockHolders(client, TABLES_LOCK), isOlder);
      await pause(POLL_MS, undefined, { signal });
    }
  }
}

/** @returns false if somebody changed the tables between the look at them and the lock */
async function settled(client: Client, use: TablesUse, mode: 'alone' | 'shared'): Promise<boolean> {
  if (mode === 'alone') {
    await use.migrate?.();
    await areOlder(client, use);
    await tryLock(client, TABLES_LOCK, 'shared');
    await unlock(client, TABLES_LOCK, 'alone');
    return true;
  }
  if (use.migrate !== undefined && (await areOlder(client, use))) {
    await unlock(client, TABLES_LOCK, 'shared');
    return false;
  }
  return true;
}

/** @throws Fault `database.newer` */
async function areOlder(client: Client, { place, migrations }: TablesUse): Promise<boolean> {
  const found = await client.query<{ name: string | null }>(
    `SELECT to_regclass('migration')::text AS name`,
  );
  if (typeof found.rows[0]?.name !== 'string') {
    return true;
  }
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migration');
  const done = new Set(rows.map(({ name }) => name));
  const known = new Set(migrations);
  if ([...done].some((name) => !known.has(name))) {
    throw new Fault(
      'database.newer',
      `The tables of the database ${place.name} are of a newer version of Hyperkeep than this service. Nothing was changed in it. Update this service.`,
      { database: place.name },
    );
  }
  return !migrations.every((name) => done.has(name));
}

/** How long others may keep this service from the tables. */
class Wait {
  private readonly untilMs = performance.now() + PATIENCE_MS;
  private said = '';
  private readonly use: TablesUse;

  constructor(use: TablesUse) {
    this.use = use;
  }

  /** @throws Fault `database.older-hosts` once it has waited long enough for services that go on */
  met(holders: readonly LockHolder[], isOlder: boolean): void {
    if (performance.now() < this.untilMs || holders.length === 0) {
      return;
    }
    const { place, waitsForOlder, say } = this.use;
    const who = holders.map(serviceName).join(', ');
    const isChanging = holders.some(({ alone }) => alone);
    if (isOlder && !isChanging && !waitsForOlder) {
      throw new Fault(
        'database.older-hosts',
        `The tables of the database ${place.name} have to be changed for this version, and services of an older one use them: ${who}. Nothing was changed. Stop those services, then start this one and update them; with serve --migrate this one waits until they are gone.`,
        { database: place.name, services: holders.length },
      );
    }
    if (who !== this.said) {
      this.said = who;
      say(
        isChanging
          ? `The tables of the database ${place.name} are being changed, or used alone, by ${who}. Waiting for it.`
          : `The tables of the database ${place.name} are used by services of an older version: ${who}. Waiting until they are gone.`,
      );
    }
  }
}
