import { QueryFailedError, QueryRunnerAlreadyReleasedError } from 'typeorm';
import { Fault, isFault, systemCode } from '../../kernel/fault.ts';

/** System errors of a connection that could not be made, or that broke. */
const AWAY = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOENT', 'ENOTCONN'],
  ...['ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
]);
/**
 * SQLSTATE codes: connection lost; ended by its operator or a crash, or starting; too slow; out of
 * connections, memory or space; input and output errors; a read-only standby.
 */
const AWAY_STATES = /^(08...|57P0[1-5]|57014|53...|58...|25006)$/;
/** Wrong user or password, no such database, no rights in it. */
const REFUSED_STATES = /^(28...|3D000|42501)$/;
/** Messages of the driver that have no code. */
const AWAY_WORDS =
  /Connection terminated|connection error|not queryable|timeout exceeded when trying to connect|Query read timeout|timeout expired|after calling end on the pool/i;

/** Name of the database in messages, never with a password. */
export interface DatabasePlace {
  readonly name: string;
}

/**
 * Converts an error of the database.
 *
 * @returns Fault `database.unavailable` or `database.refused`; any other error as it is
 */
export function databaseFault(error: unknown, { name }: DatabasePlace): unknown {
  if (isFault(error)) {
    return error;
  }
  const reason = reasonOf(error);
  if (reason === undefined) {
    return error;
  }
  if (REFUSED_STATES.test(reason)) {
    return new Fault(
      'database.refused',
      `The database ${name} does not let the service in (${reason}). Correct DATABASE_URL, or give its user the right to make tables there.`,
      { database: name, reason },
      { cause: error },
    );
  }
  return unavailable(name, reason, error);
}

export function unavailable(name: string, reason: string, cause?: unknown): Fault {
  return new Fault(
    'database.unavailable',
    `The database ${name} of the service does not answer now (${reason}). The service goes on by itself when it is back.`,
    { database: name, reason },
    cause === undefined ? {} : { cause },
  );
}

/**
 * Returns a code or a few words; undefined if the error does not mean that the database is away.
 */
function reasonOf(thrown: unknown): string | undefined {
  if (thrown instanceof QueryRunnerAlreadyReleasedError) {
    // The connection broke between two statements of a transaction.
    return 'the connection was lost';
  }
  const error: unknown = thrown instanceof QueryFailedError ? thrown.driverError : thrown;
  if (!Error.isError(error)) {
    return undefined;
  }
  const code = systemCode(error);
  if (code !== undefined) {
    const isKnown = AWAY.has(code) || AWAY_STATES.test(code) || REFUSED_STATES.test(code);
    return isKnown ? code : undefined;
  }
  return AWAY_WORDS.exec(error.message)?.[0];
}
