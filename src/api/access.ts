import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiTokens } from '../access/api-tokens.ts';
import { includes, type Scope } from '../access/scope.ts';
import { actingAs } from '../kernel/actor.ts';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { sendProblem } from './problem-response.ts';
import { scopeOf } from './route-scopes.ts';

/** Path of the OpenAPI page. It shows the contract, and no data of this host. */
export const DOCS_PATH = '/api/docs';

/** Host names of the loopback interface. */
const LOOPBACK_NAMES = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Connections over the socket in the home. All others came over a network. */
const local = new WeakSet<object>();

/** Trusts a connection that the file system let in: it needs no token and no host name. */
export function trustConnection(socket: object): void {
  local.add(socket);
}

/** Who asks, and what they may. */
interface Caller {
  /** The name of a token, `local` for the socket of the home, `api-token` for the file in it. */
  readonly name: string;
  readonly scope: Scope;
}

const LOCAL: Caller = { name: 'local', scope: 'admin' };

/** What opens the service to requests over TCP. */
export interface Keys {
  /** Content of the token file; undefined if there is none. */
  readonly token?: string | undefined;
  readonly named: Pick<ApiTokens, 'find'>;
}

/**
 * Lets in what came over the socket of the home; all else needs a right host name, and a token that
 * may do what is asked. What follows acts for the caller.
 */
export function guarded({ token, named }: Keys): RequestHandler[] {
  const ours = token === undefined ? undefined : digest(token);
  const admit = async (request: Request, response: Response): Promise<Caller | undefined> => {
    const caller = local.has(request.socket) ? LOCAL : await callerOf(request, ours, named);
    if (caller === undefined) {
      refuseStranger(request, response);
      return undefined;
    }
    const needed = scopeOf(request.method, request.path);
    if (!includes(caller.scope, needed)) {
      sendProblem(response, {
        status: 403,
        title: 'request.denied',
        detail: `The token ${caller.name} has the scope ${caller.scope}; this needs ${needed}.`,
        context: { scope: needed },
      });
      return undefined;
    }
    return caller;
  };
  return [
    namesOnly,
    (request, response, next) => {
      admit(request, response).then((caller) => {
        if (caller !== undefined) {
          actingAs(caller.name, next);
        }
      }, next);
    },
  ];
}

/**
 * Refuses requests whose Host header is neither a loopback name nor the address that they came to,
 * so that a page in the operator's browser that points its own name here gets no further.
 */
function namesOnly(request: Request, response: Response, next: NextFunction): void {
  if (local.has(request.socket)) {
    next();
    return;
  }
  const host = (request.headers.host ?? '').replace(/:\d{1,5}$/, '').toLowerCase();
  const address = request.socket.localAddress?.replace(/^::ffff:/, '') ?? '';
  if (
    host === '' ||
    (!LOOPBACK_NAMES.has(host) && host !== (address.includes(':') ? `[${address}]` : address))
  ) {
    sendProblem(response, {
      status: 421,
      title: 'request.denied',
      detail: 'Reach the service as 127.0.0.1 or localhost, or by the address it listens at.',
    });
    return;
  }
  next();
}

/**
 * Returns whose token it is, if it is one.
 * @param ours digest of the token in the home
 */
async function callerOf(
  request: Request,
  ours: Buffer | undefined,
  named: Keys['named'],
): Promise<Caller | undefined> {
  const given = tokenOf(request);
  if (given === undefined) {
    return undefined;
  }
  if (ours !== undefined && timingSafeEqual(digest(given), ours)) {
    return { name: 'api-token', scope: 'admin' };
  }
  return named.find(given);
}

function refuseStranger(request: Request, response: Response): void {
  const scheme = isDocs(request) ? 'Basic realm="Hyperkeep"' : 'Bearer';
  response.setHeader('WWW-Authenticate', scheme);
  sendProblem(response, {
    status: 401,
    title: 'request.denied',
    detail:
      'The token is missing, wrong, revoked or expired. Named ones come from "hyperkeep token create"; ' +
      'that of the service itself is in the file api-token in its home.',
  });
}

/**
 * Returns the token of a request: `Authorization: Bearer TOKEN`. For viewing only, the OpenAPI page
 * also takes it as the password of a browser's login box (any user name).
 */
function tokenOf(request: Request): string | undefined {
  const [scheme = '', value = '', ...rest] = (request.headers.authorization ?? '').split(' ');
  if (rest.length > 0) {
    return undefined;
  }
  if (scheme.toLowerCase() === 'bearer') {
    return value;
  }
  if (scheme.toLowerCase() === 'basic' && isDocs(request)) {
    const decoded = Buffer.from(value, 'base64').toString('utf8');
    return decoded.slice(decoded.indexOf(':') + 1);
  }
  return undefined;
}

function isDocs({ method, path }: Request): boolean {
  return method === 'GET' && (path === DOCS_PATH || path.startsWith(`${DOCS_PATH}/`));
}

/** Digests have one length, so comparing takes the same time for every token. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
