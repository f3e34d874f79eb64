import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { TestService } from '../../support/service/service.ts';
import { API_PREFIX, ROUTES } from '../../../src/api/contract/routes.ts';
import { Job, JobList } from '../../../src/api/contract/jobs.ts';
import { TokenCreated, TokenList } from '../../../src/api/contract/tokens.ts';

let service: TestService;
beforeAll(async () => {
  service = await TestService.start(new FakeEngine());
});
afterAll(async () => {
  await service.remove();
});

async function make(name: string, more: object = {}): Promise<TokenCreated> {
  const { status, body } = await service.post('/tokens', { name, ...more });
  expect(status).toBe(201);
  return TokenCreated.parse(body);
}

async function ask(secret: string, path: string, method = 'GET', body?: object): Promise<Response> {
  return fetch(`${service.address}${API_PREFIX}${path}`, {
    method,
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const status = async (secret: string, path: string, method?: string): Promise<number> => {
  const response = await ask(secret, path, method);
  await response.arrayBuffer();
  return response.status;
};

describe('a named token', () => {
  it('is shown once, and only its digest is kept', async () => {
    const { secret, token } = await make('once');

    expect(secret).toMatch(/^hk_[\w-]{43}$/);
    expect(token).toMatchObject({ name: 'once', scope: 'read', author: 'api-token' });
    const listed = await service.get('/tokens');
    expect(TokenList.parse(listed.body).tokens.map(({ name }) => name)).toContain('once');
    expect(JSON.stringify(listed.body)).not.toContain(secret);
    expect(JSON.stringify(await service.rows('api_token'))).not.toContain(secret);
  });

  it('may do what its scope includes, and nothing else', async () => {
    const reader = (await make('reader')).secret;
    const operator = (await make('operator', { scope: 'operate' })).secret;

    expect(await status(reader, '/vms')).toBe(200);
    expect(await status(reader, '/vms', 'HEAD')).toBe(200);
    // 403 comes before the body is read, 400 after it.
    expect(await status(reader, '/backups', 'POST')).toBe(403);
    expect(await status(operator, '/backups', 'POST')).toBe(400);
    expect(await status(operator, '/vaults', 'POST')).toBe(403);
    expect(await status(operator, '/tokens', 'POST')).toBe(403);
    expect(await status(operator, '/VMs/web', 'DELETE')).toBe(403);
    expect(await status(reader, '/tokens')).toBe(403);
    expect(await status(reader, '/tokens/')).toBe(403);
    expect(await status(reader, '/tokens?x=1', 'HEAD')).toBe(403);
  });

  it('needs the scope of a route on each route', async () => {
    const given = {
      read: (await make('r')).secret,
      operate: (await make('o', { scope: 'operate' })).secret,
    };
    for (const { method, path, scope } of Object.values(ROUTES)) {
      const url = path.replace(/:\w+/g, 'nothing');
      expect([url, (await status(given.read, url, method)) === 403]).toEqual([
        url,
        scope !== 'read',
      ]);
      expect([url, (await status(given.operate, url, method)) === 403]).toEqual([
        url,
        scope === 'admin',
      ]);
    }
  });

  it('is refused once it is revoked', async () => {
    const { secret } = await make('short-lived');
    expect(await status(secret, '/vms')).toBe(200);

    await service.send('DELETE', '/tokens/short-lived');

    expect(await status(secret, '/vms')).toBe(401);
    expect((await service.send('DELETE', '/tokens/short-lived')).body).toMatchObject({
      title: 'token.unknown',
    });
  });

  it('is refused once it has expired', async () => {
    const { secret } = await make('expiring', { expiresAtMs: Date.now() + 3_600_000 });
    expect(await status(secret, '/vms')).toBe(200);

    await service.sql(`UPDATE api_token SET expires_at_ms = 1 WHERE name = 'expiring'`);

    expect(await status(secret, '/vms')).toBe(401);
    expect((await service.post('/tokens', { name: 'late', expiresAtMs: 1 })).status).toBe(400);
  });

  it('is one of its name, which is not that of another actor', async () => {
    await make('twice');

    expect((await service.post('/tokens', { name: 'twice' })).body).toMatchObject({
      title: 'token.name-taken',
    });
    expect((await service.post('/tokens', { name: 'service' })).status).toBe(400);
  });

  it('is named by the jobs that it starts, and not by those that run after them', async () => {
    const { secret } = await make('nightly', { scope: 'operate' });
    const location = `${service.home}/vault`;
    await service.post('/vaults', { name: 'main', location, passphrase: 'correct horse' });
    const [first, second] = await Promise.all([
      ask(secret, '/vaults/main/usage', 'POST', {}),
      service.post('/vaults/main/probe'),
    ]);
    const ids = [Job.parse(await first.json()).id, Job.parse(second.body).id];
    await Promise.all(ids.map((id) => service.ended(id)));

    const { jobs } = JobList.parse((await service.get('/jobs')).body);
    expect(ids.map((id) => jobs.find((job) => job.id === id)?.actor)).toEqual([
      'nightly',
      'api-token',
    ]);
  });
});
