import { createHash, timingSafeEqual } from 'node:crypto';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { sendProblem } from './problem-response.ts';

/** Where the OpenAPI page is. It shows the contract and no data of this host. */
export const DOCS_PATH = '/api/docs';

/** Names under which the loopback interface is reached. Anything else is a web page that points its own name here. */
const LOOPBACK_NAMES = new Set(['127.0.0.1', 'localhost', '[::1]']);

/**
 * Refuses requests whose Host header is not a loopback name: a page in the operator's browser that
 * rebinds its own name to 127.0.0.1 gets no further.
 */
export function loopbackOnly(): RequestHandler {
  return (request: Request, response: Response, next: NextFunction) => {
    const host = (request.headers.host ?? '').replace(/:\d{1,5}$/, '').toLowerCase();
    if (!LOOPBACK_NAMES.has(host)) {
      sendProblem(response, {
        status: 421,
        title: 'request.denied',
        detail: 'Reach the service as 127.0.0.1 or localhost.',
      });
      return;
    }
    next();
  };
}

/**
 * Asks every request for the token: `Authorization: Bearer TOKEN`. The OpenAPI page takes it as the
 * password of a browser's login box too (any user name), but only to be looked at.
 */
export function tokenRequired(token: string): RequestHandler {
  const expected = digest(token);
  return (request: Request, response: Response, next: NextFunction) => {
    const given = tokenOf(request);
    if (given === undefined || !timingSafeEqual(digest(given), expected)) {
      const docs = isDocs(request);
      response.setHeader('WWW-Authenticate', docs ? 'Basic realm="Hyperkeep"' : 'Bearer');
      sendProblem(response, {
        status: 401,
        title: 'request.denied',
        detail:
          'The token is missing or wrong. It is in the file api-token of the service; run as the same user.',
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

/** Digests have one length, so that comparing takes the same time for every token. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
