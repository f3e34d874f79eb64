import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ensureBuild } from '../../../scripts/setup/build.mjs';

const MAIN = new URL('../../support/service/soak-like.main.ts', import.meta.url).pathname;
const TIMEOUT_MS = 180_000;

it(
  'a soak that is told to stop takes its service and its database with it',
  async () => {
    await ensureBuild(join(import.meta.dirname, '../../..'));
    const folder = await mkdtemp('/tmp/hk-soak-ended-');
    const env = { ...process.env, DATABASE_URL: '' };
    const soak = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // A server of its own, so that there is one to end.
      env,
    });
    const ended = once(soak, 'exit');
    const [line] = (await once(createInterface({ input: soak.stdout }), 'line')) as [string];
    const { service, database } = JSON.parse(line) as { service: number; database: string };
    const socket = join(new URL(database).searchParams.get('host') ?? '', '.s.PGSQL.5432');
    expect([existsSync(`/proc/${String(service)}`), existsSync(socket)]).toEqual([true, true]);
    const [server = ''] = (await readFile(`${socket}.lock`, 'utf8')).split('\n');

    soak.kill('SIGTERM');

    expect(await ended).toEqual([143, null]);
    expect(existsSync(`/proc/${String(service)}`)).toBe(false);
    expect(existsSync(`/proc/${server}`)).toBe(false);
    await rm(folder, { recursive: true });
  },
  TIMEOUT_MS,
);
