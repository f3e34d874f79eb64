import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { ApiTokenRows, StoredToken } from '../catalog/api-token-rows.ts';
import { currentActor } from '../kernel/actor.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { findNamed } from '../kernel/text/by-prefix.ts';
import type { Scope } from './scope.ts';

/** Begins every named token, so that scanners for leaked secrets can find them. */
const PREFIX = 'hk_';
const TOKEN_BYTES = 32;
/** How exactly it is known when a token was last used. */
const USED_MS = 60_000;

export interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly scope: Scope;
  /** Who made it. */
  readonly author: string;
  readonly createdAtMs: number;
  /** Undefined if it does not expire. */
  readonly expiresAtMs?: number;
  /** To the minute; undefined if it was never used. */
  readonly usedAtMs?: number;
}

export interface TokenRequest {
  readonly name: string;
  readonly scope: Scope;
  readonly expiresAtMs?: number | undefined;
}

/** Named tokens for requests over TCP. A token is shown once; only its digest is kept. */
export class ApiTokens {
  constructor(
    private readonly rows: ApiTokenRows,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /**
   * Makes a token; its 256 random bits need no slow hash.
   * @throws Fault `token.name-taken`, `request.invalid` if it has expired already
   */
  async create({ name, scope, expiresAtMs }: TokenRequest): Promise<{
    readonly token: ApiToken;
    readonly secret: string;
  }> {
    const createdAtMs = this.clock.nowMs();
    if (expiresAtMs !== undefined && expiresAtMs <= createdAtMs) {
      throw new Fault('request.invalid', 'The token would have expired already.');
    }
    const secret = `${PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`;
    const row: StoredToken = {
      id: randomUUID(),
      name,
      digest: digest(secret),
      scope,
      author: currentActor(),
      createdAtMs,
      expiresAtMs: expiresAtMs ?? null,
      usedAtMs: null,
    };
    await this.rows.add(row);
    this.log.info('token.created', { name, scope });
    return { token: fromRow(row), secret };
  }

  /** Lists the tokens by name, expired ones too. */
  async list(): Promise<ApiToken[]> {
    return (await this.rows.list()).map(fromRow);
  }

  /**
   * Revokes the token with this name or id; the next request with it is refused.
   * @throws Fault `token.unknown`
   */
  async revoke(idOrName: string): Promise<ApiToken> {
    const token = findNamed(await this.list(), idOrName);
    if (token === undefined) {
      throw new Fault('token.unknown', `There is no token ${idOrName}; see token list.`, {
        token: idOrName,
      });
    }
    await this.rows.remove(token.id);
    this.log.info('token.revoked', { name: token.name });
    return token;
  }

  /** Returns the token that this secret is, unless it was revoked or has expired. */
  async find(secret: string): Promise<ApiToken | undefined> {
    if (!secret.startsWith(PREFIX)) {
      return undefined;
    }
    // The lookup compares digests, so its time says nothing about a token.
    const row = await this.rows.withDigest(digest(secret));
    const nowMs = this.clock.nowMs();
    if (row === undefined || (row.expiresAtMs !== null && row.expiresAtMs <= nowMs)) {
      return undefined;
    }
    if (Math.abs(nowMs - (row.usedAtMs ?? -Infinity)) >= USED_MS) {
      await this.rows.markUsed(row.id, nowMs);
    }
    return fromRow(row);
  }
}

function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function fromRow(row: StoredToken): ApiToken {
  return {
    id: row.id,
    name: row.name,
    // Only this class wrote it.
    scope: row.scope as Scope,
    author: row.author,
    createdAtMs: row.createdAtMs,
    ...(row.expiresAtMs === null ? {} : { expiresAtMs: row.expiresAtMs }),
    ...(row.usedAtMs === null ? {} : { usedAtMs: row.usedAtMs }),
  };
}
