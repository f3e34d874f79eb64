import { includes, type Scope } from '../access/scope.ts';
import { API_PREFIX, ROUTES } from './contract/routes.ts';

interface ScopedPath {
  readonly method: string;
  readonly pattern: RegExp;
  readonly scope: Scope;
}

const PATHS: readonly ScopedPath[] = Object.values(ROUTES).map(({ method, path, scope }) => ({
  method,
  pattern: new RegExp(`^${API_PREFIX}${path.replace(/:[a-z]+/g, '[^/]+')}/?$`, 'i'),
  scope,
}));

/**
 * Returns what a request needs. What no route declares can be read at most: event streams, the
 * OpenAPI page, and paths where nothing is.
 */
export function scopeOf(method: string, path: string): Scope {
  const asked = method === 'HEAD' ? 'GET' : method;
  const found = PATHS.filter((route) => route.method === asked && route.pattern.test(path));
  const [first, ...others] = found.map(({ scope }) => scope);
  if (first === undefined) {
    return asked === 'GET' ? 'read' : 'admin';
  }
  return others.reduce((most, scope) => (includes(most, scope) ? most : scope), first);
}
