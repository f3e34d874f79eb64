import { z } from 'zod';
import { SCOPES } from '../../access/scope.ts';
import { TimeMs } from './references.ts';

/** Name of a token: shown in lists, jobs and the log as who did something. */
const TokenName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, dot, dash, underscore; at most 63')
  .refine(
    (name) => !['local', 'service', 'api-token'].includes(name),
    'is the name of an actor that needs no token of its own',
  );

/** A token by its id, the beginning of it, or its name. */
export const TokenReference = z.union([z.uuid(), TokenName]);

export const Scope = z.enum(SCOPES);
export type Scope = z.infer<typeof Scope>;

/** POST /api/v1/tokens */
export const CreateToken = z
  .strictObject({
    name: TokenName,
    /**
     * `read`: see everything. `operate`: also start what gives nothing up. `admin`: also what
     * removes, decides over data, or lets others in. Default `read`.
     */
    scope: Scope.default('read'),
    /** Undefined for a token that does not expire. */
    expiresAtMs: TimeMs.optional(),
  })
  .meta({ id: 'CreateToken' });
export type CreateToken = z.infer<typeof CreateToken>;

export const Token = z
  .object({
    id: z.uuid(),
    name: z.string(),
    scope: Scope,
    /** Who made it. */
    author: z.string(),
    createdAtMs: TimeMs,
    /** Undefined if it does not expire. */
    expiresAtMs: TimeMs.optional(),
    /** To the minute; undefined if it was never used. */
    usedAtMs: TimeMs.optional(),
  })
  .meta({ id: 'Token' });
export type Token = z.infer<typeof Token>;

/** 201 of POST /api/v1/tokens. The secret is shown once and stored nowhere. */
export const TokenCreated = z
  .object({ token: Token, secret: z.string() })
  .meta({ id: 'TokenCreated' });
export type TokenCreated = z.infer<typeof TokenCreated>;

/** 200 of GET /api/v1/tokens, by name; expired ones too. */
export const TokenList = z.object({ tokens: z.array(Token) }).meta({ id: 'TokenList' });
export type TokenList = z.infer<typeof TokenList>;
