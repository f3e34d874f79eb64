import { scopeOf } from './route-scopes.ts';

describe('scopeOf', () => {
  it.each([
    ['GET', '/api/v1/vms', 'read'],
    ['HEAD', '/api/v1/tokens', 'admin'],
    ['POST', '/api/v1/backups', 'operate'],
    ['POST', '/api/v1/vaults/main/prune/', 'admin'],
    ['DELETE', '/API/V1/VMs/web', 'admin'],
    ['GET', '/api/v1/jobs/x/events', 'read'],
    ['POST', '/api/v1/nothing', 'admin'],
    ['PUT', '/api/v1/vms', 'admin'],
  ])('of %s %s is %s', (method, path, scope) => {
    expect(scopeOf(method, path)).toBe(scope);
  });
});
