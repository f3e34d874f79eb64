import type { z } from 'zod';
import type { Scope } from '../../access/scope.ts';

/** One route of the API. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Under API_PREFIX. */
  readonly path: string;
  /** What a token must be allowed to do. */
  readonly scope: Scope;
  /** Schema of the JSON body. */
  readonly body?: z.ZodType;
  /** Schema of the answer on success; undefined if it has no body. */
  readonly answer?: z.ZodType;
}
