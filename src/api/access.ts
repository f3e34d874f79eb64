import { createHash, timingSafeEqual } from 'node:crypto';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { sendProblem } from './problem-response.ts';

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

/**
 * Lets in what came over the socket of the home; all else needs a right host name and the token.
 */
export function guarded(token: string | undefined): RequestHandler[] {
  return [namesOnly, tokenRequired(token)].map(
    (guard): RequestHandler =>
      (request, response, next) => {
        if (local.has(request.socket)) {
          next();
          return;
        }
        void guard(request, response, next);
      },
  );
}

/**
 * Refuses requests whose Host header is neither a loopback name nor the address that they came to,
 * so that a page in the operator's browser that points its own name here gets no further.
 */
function namesOnly(request: Request, response: Response, next: NextFunction): void {
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
 * Requires the token: `Authorization: Bearer TOKEN`. For viewing only, the OpenAPI page also takes
 * it as the password of a browser's login box (any user name).
 */
function tokenRequired(token: string | undefined): RequestHandler {
  const expected = token === undefined ? undefined : digest(token);
  return (request: Request, response: Response, next: NextFunction) => {
    const given = tokenOf(request);
    if (
      given === undefined ||
      expected === undefined ||
      !timingSafeEqual(digest(given), expected)
    ) {
      const docs = isDocs(request);
      response.setHeader('WWW-Authenticate', docs ? 'Basic realm="Hyperkeep"' : 'Bearer');
      sendProblem(response, {
        status: 401,
        title: 'request.denied',
        detail:
          'The token is missing or wrong. It is in the file api-token in the home of the service.',
      });
      return;
    }
    next();
  };
}

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
