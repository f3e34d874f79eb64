import { request } from 'node:http';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { API_PREFIX, ROUTES } from '../../../src/api/contract/routes.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { TestService } from '../../support/service/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await TestService.start(new FakeEngine());
});
afterAll(async () => {
  await service.remove();
});

/** The status and the body of a raw request, whose Host header may be anything. */
async function ask(
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number | undefined; type: string | undefined; body: string }> {
  const { hostname, port } = new URL(service.address);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (body += piece));
      response.on('end', () => {
        resolve({ status: response.statusCode, type: response.headers['content-type'], body });
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

const bearer = () => ({ authorization: `Bearer ${service.token}` });

describe('access to the service', () => {
  it('is given to who has the token', async () => {
    const { status, body } = await service.get('/service');

    expect(status).toBe(200);
    expect(body).toEqual({ version: '0.0.0', engine: 'fake', repaired: [] });
  });

  it.each([
    ['no token', {}],
    ['a wrong token', { authorization: 'Bearer nope' }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['a token in the wrong scheme', { authorization: `Basic ${btoa('x:y')}` }],
  ])('is refused with %s, whether the path exists or not', async (_, headers) => {
    for (const path of ['/api/v1/vms', '/api/v1/nothing', '/api/docs', '/api/docs-json', '/']) {
      const { status, type } = await ask(path, headers);

      expect(status).toBe(401);
      expect(type).toMatch(/^application\/problem\+json/);
    }
  });

  it('takes a browser login for the documentation, and for nothing else', async () => {
    const authorization = `Basic ${btoa(`me:${service.token}`)}`;

    expect((await ask('/api/docs', { authorization })).status).toBe(200);
    expect((await ask('/api/v1/vms', { authorization })).status).toBe(401);
  });

  it.each(['evil.example', 'evil.example:8480', '169.254.169.254', '127.0.0.1.evil.example'])(
    'is refused under the host name %j',
    async (host) => {
      const { status } = await ask('/api/v1/service', { ...bearer(), host });

      expect(status).toBe(421);
    },
  );

  it.each(['localhost:1', '127.0.0.1', '[::1]:8480', 'LOCALHOST'])(
    'is given under the host name %j',
    async (host) => {
      expect((await ask('/api/v1/service', { ...bearer(), host })).status).toBe(200);
    },
  );

  it('needs a token that only the owner of the home can read', async () => {
    expect((await stat(join(service.home, 'api-token'))).mode & 0o777).toBe(0o600);
  });
});

describe('requests', () => {
  it('are refused with every problem named', async () => {
    const { status, body } = await service.post('/vms', { name: '../x', disks: [], extra: 1 });

    expect(status).toBe(400);
    expect(body).toMatchObject({ title: 'request.invalid', status: 400 });
    expect((body as { detail: string }).detail).toMatch(/name: .*disks: .*extra/);
  });

  it('are refused when they are too large', async () => {
    const { status, body } = await service.post('/vms', { name: 'x'.repeat(1_100_000) });

    expect(status).toBe(413);
    expect(body).toMatchObject({ title: 'request.invalid' });
  });

  it('are refused when they are not JSON', async () => {
    const response = await fetch(`${service.address}/api/v1/vms`, {
      method: 'POST',
      headers: { ...bearer(), 'content-type': 'application/json' },
      body: '{"name":',
    });

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ title: 'request.invalid' });
  });

  it('get a problem document for a path that is not there', async () => {
    const { status, body } = await service.get('/nothing');

    expect(status).toBe(404);
    expect(body).toMatchObject({
      status: 404,
      detail: expect.stringContaining('/api/docs') as unknown,
    });
  });

  it.each([
    ['/vms/nope', 404, 'engine.vm-not-found'],
    ['/jobs/00000000-0000-4000-8000-000000000000', 404, 'job.unknown'],
    ['/jobs/nope', 400, 'request.invalid'],
    ['/jobs?limit=0', 400, 'request.invalid'],
    ['/points?vault=nope', 404, 'vault.unknown'],
  ])('for %s get %d %s', async (path, status, title) => {
    expect(await service.get(path)).toMatchObject({ status, body: { title, status } });
  });
});

describe('a location of objects', () => {
  it.each(['relative/dir', '.', '0', 'file', '../up', '', 's3:bucket', 'a\n/b', '/a\nb', '~/v'])(
    'is refused when it is neither an absolute folder nor an address: %j',
    async (location) => {
      const bodies = {
        '/vaults': { name: 'v', location, passphrase: 'long enough' },
        '/vaults/none/copy': { to: { location } },
        '/vaults/none/repair': { copy: { location } },
      };
      for (const [path, asked] of Object.entries(bodies)) {
        const { status, body } = await service.post(path, asked);

        expect([path, status]).toEqual([path, 400]);
        expect(body).toMatchObject({ title: 'request.invalid' });
        expect(JSON.stringify(body)).toContain('location');
      }
    },
  );
});

describe('the OpenAPI document', () => {
  it('describes every path with its body and its answer', async () => {
    const { body } = await ask('/api/docs-json', bearer());
    const document = JSON.parse(body) as {
      paths: Record<string, Record<string, { requestBody?: unknown; responses: object }>>;
      components: { schemas: Record<string, { properties?: object }> };
    };

    // A route that the table lacks would have no scope of its own.
    const declared = Object.values(ROUTES).map(({ path }) => path.replace(/:(\w+)/g, '{$1}'));
    const paths = new Set([...declared, '/jobs/{job}/events']);
    expect(Object.keys(document.paths).sort()).toEqual(
      [...paths].map((path) => `${API_PREFIX}${path}`).sort(),
    );
    expect(document.components.schemas['StartBackup']?.properties).toHaveProperty(
      'crashConsistent',
    );
    expect(document.components.schemas['Job']?.properties).toHaveProperty('progress');
  });
});
