import { chmod, chown, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cliRun } from '../../../test/support/service/cli-run.ts';
import { listeners } from './loopback-owner.ts';

const NOBODY = 65_534;
const asRoot = process.getuid?.() === 0 ? it : it.skip;

let folder: string;
let api: string;
let server: Server;
let heard: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hyperkeep-cli-'));
  api = join(folder, 'home', 'api');
  await mkdir(api, { recursive: true, mode: 0o700 });
  heard = [];
  server = createServer((request, response) => {
    heard.push(request.headers.authorization ?? 'no token');
    response.end('{"vaults":[]}');
  });
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

async function listen(at: string | number = join(api, 'service.sock')): Promise<number> {
  await new Promise<void>((resolve) => {
    if (typeof at === 'string') {
      server.listen(at, resolve);
    } else {
      server.listen(at, '127.0.0.1', resolve);
    }
  });
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

const list = async (remote?: { url: string; token: string }) =>
  cliRun(['vault', 'list'], {
    folder,
    environment: {
      readSettings: () => ({ homeFolder: join(folder, 'home'), ...(remote && { remote }) }),
    },
  });

describe('the socket of the home', () => {
  it('is spoken to when folder and socket are ours', async () => {
    await listen();

    expect(await list()).toMatchObject({ exitCode: 0 });
    expect(heard).toEqual(['no token']);
  });

  it.each([0o770, 0o707, 0o1777])('is not when others may write its folder (%o)', async (mode) => {
    await listen();
    await chmod(api, mode);

    const { exitCode, stderr } = await list();

    expect({ exitCode, heard }).toEqual({ exitCode: 3, heard: [] });
    expect(stderr).toContain('can be written by other users');
  });

  asRoot.each([
    ['the folder', '.'],
    ['the socket', 'service.sock'],
  ])('is not when %s belongs to somebody else', async (_, name) => {
    await listen();
    await chown(join(api, name), NOBODY, NOBODY);

    const { exitCode, stderr } = await list();

    expect({ exitCode, heard }).toEqual({ exitCode: 3, heard: [] });
    expect(stderr).toContain('belongs to the user 65534');
  });

  it('is not when its folder is a link to another one', async () => {
    await listen();
    await rename(api, join(folder, 'elsewhere'));
    await symlink(join(folder, 'elsewhere'), api);

    expect(await list()).toMatchObject({ exitCode: 3 });
    expect(heard).toEqual([]);
  });

  it('asks for no passphrase when there is nobody to tell it to', async () => {
    await writeFile(join(api, 'service.sock'), '');

    const run = await cliRun(['vault', 'create', 'v', '--location', '/v'], { folder });

    expect(run).toMatchObject({ exitCode: 8, stdout: '' });
    expect(run.stderr).toContain('error service.unreachable');
  });
});

describe('HYPERKEEP_URL', () => {
  it('gets its token when our own user listens there', async () => {
    const port = await listen(0);

    const run = await list({ url: `http://127.0.0.1:${String(port)}`, token: 'abc' });

    expect(run).toMatchObject({ exitCode: 0 });
    expect(heard).toEqual(['Bearer abc']);
  });

  it.each([
    ['another machine without a certificate', 'http://backup.example:80', 2, 'https://'],
    ['a port of this machine where nobody listens', 'http://127.0.0.1:1', 8, 'Nobody listens'],
    ['a name that is none', 'https://backup.invalid', 8, 'does not answer'],
  ])('gets nothing when it is %s', async (_, url, exitCode, text) => {
    const run = await list({ url, token: 'abc' });

    expect(run.exitCode).toBe(exitCode);
    expect(run.stderr).toContain(text);
  });

  it('knows who listens at a port from the list of the kernel', () => {
    const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2120 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 123 1 0 100 0 0 10 0
   1: 0100007F:2120 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 124 1 0 20 4 30 10 -1
   2: 00000000:2121 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 125 1 0 100 0 0 10 0
`;

    expect(listeners(text, 0x2120)).toEqual([65_534]);
    expect(listeners(text, 0x2121)).toEqual([1000]);
    expect(listeners(text, 0x2122)).toEqual([]);
  });
});
