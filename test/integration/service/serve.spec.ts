import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { makeOwnFolder } from '../../../src/platform/home-folder.ts';
import { ServiceClient } from '../../../src/cli/service/service-client.ts';
import { connectionInHome } from '../../../src/cli/service/service-connection.ts';
import { readConfig } from '../../../src/platform/config/config.ts';
import { serve } from '../../../src/main.ts';

const { signal } = new AbortController();
let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hk-serve-'));
});
afterEach(async () => {
  await rm(home, { recursive: true });
});

/** A whole service with a database of its own; `listening` gives its address. */
function start(environment: Record<string, string> = {}) {
  const output = new PassThrough();
  const log: string[] = [];
  const abort = new AbortController();
  const config = readConfig(
    { HYPERKEEP_HOME: home, ...environment },
    { userId: process.getuid?.() ?? 1000, homeFolder: home },
  );
  const errors = { write: (line: string) => log.push(line) };
  const ended = serve({ config, version: '1.2.3', output, errors }, abort.signal);
  const listening = async (): Promise<string> => {
    const [said] = (await Promise.race([once(output, 'data'), ended])) as [Buffer];
    return said.toString('utf8');
  };
  return { abort, ended, log, listening };
}

const client = () => new ServiceClient(connectionInHome(home));

async function modes(...names: string[]): Promise<number[]> {
  const facts = await Promise.all(names.map(async (name) => stat(join(home, name))));
  return facts.map(({ mode }) => mode & 0o777);
}

describe('serve', () => {
  it('makes its home, answers there alone, refuses a second one, and stops in order', async () => {
    const service = start();
    const said = await service.listening();

    expect(await client().call('service', {}, signal)).toEqual({
      version: '1.2.3',
      engine: 'qemu',
      repaired: [],
    });
    expect(said).not.toContain('http');
    await expect(start().ended).rejects.toMatchObject({ code: 'service.already-running' });
    expect(await modes('api', 'api/service.sock')).toEqual([0o700, 0o600]);
    expect((await stat(home)).mode & 0o066).toBe(0);
    expect(await readdir(home)).not.toContain('api-token');

    service.abort.abort();
    await service.ended;

    expect(await readdir(join(home, 'api'))).toEqual([]);
    const events = service.log.map((line) => (JSON.parse(line) as { event: string }).event);
    expect(events).toContain('service.started');
    expect(events.at(-1)).toBe('database.stopped');
  });

  it('listens on a network when a setting asks for it, and wants the token there', async () => {
    const service = start({ HTTP_PORT: '0' });
    const address = /http:[^ ]+/.exec(await service.listening())?.[0] ?? '';
    const token = (await readFile(join(home, 'api-token'), 'utf8')).trim();

    const without = await fetch(`${address}/api/v1/service`);
    const authorization = `Bearer ${token}`;
    const answer = await fetch(`${address}/api/v1/service`, { headers: { authorization } });

    expect([without.status, answer.status]).toEqual([401, 200]);
    expect(await client().call('service', {}, signal)).toMatchObject({ version: '1.2.3' });
    service.abort.abort();
    await service.ended;
    expect(service.log.join('')).not.toContain(token);
  });

  it('takes the place of one that was killed, in a home whose path is long', async () => {
    const short = home;
    home = join(short, 'x'.repeat(120));
    await chmod(short, 0o711);
    await mkdir(join(home, 'api'), { recursive: true });
    const listener = `require('net').createServer().listen('service.sock', () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawn(process.execPath, ['-e', listener], { cwd: join(home, 'api') }), 'close');
    expect(await readdir(join(home, 'api'))).toEqual(['service.sock']);

    const service = start({ HYPERKEEP_RUN: join(short, 'run') });
    await service.listening();

    expect(await client().call('service', {}, signal)).toMatchObject({ engine: 'qemu' });
    service.abort.abort();
    await service.ended;
    home = short;
  });

  it('does not start when the folder of its socket leads elsewhere', async () => {
    await symlink('/tmp', join(home, 'api'));

    await expect(start().ended).rejects.toMatchObject({ code: 'service.home-shared' });
  });

  it('lets nobody look into a home that was made for its cache before', async () => {
    const asked = join(home, 'asked-for');
    const operators = join(home, 'operators');
    for (const folder of [join(asked, 'cache'), join(operators, 'papers')]) {
      await mkdir(folder, { recursive: true });
    }

    await makeOwnFolder(asked);
    await makeOwnFolder(operators);

    expect((await modes('asked-for', 'operators')).map((mode) => mode & 0o066)).toEqual([0, 0o044]);
  });

  it.each([
    ['its home', '.'],
    ['the folder of its sockets', 'run'],
  ])('does not start when others could put their files into %s', async (_, name) => {
    await mkdir(join(home, name), { recursive: true });
    await chmod(join(home, name), 0o777);

    await expect(start().ended).rejects.toMatchObject({ code: 'service.home-shared' });
  });

  it('gives its home back when it is stopped before it could start', async () => {
    const first = start({ DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' });
    expect(await first.listening()).toContain('does not answer');
    first.abort.abort();
    await expect(first.ended).rejects.toThrow();
    expect(first.log.join('')).not.toContain('secret');

    const second = start();
    await second.listening();
    second.abort.abort();
    await second.ended;
  });
});
