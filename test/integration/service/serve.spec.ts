import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { readConfig } from '../../../src/platform/config/config.ts';
import { serve } from '../../../src/main.ts';

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
    { HYPERKEEP_HOME: home, HTTP_PORT: '0', ...environment },
    { userId: process.getuid?.() ?? 1000, homeFolder: home },
  );
  const errors = { write: (line: string) => log.push(line) };
  const ended = serve({ config, version: '1.2.3', output, errors }, abort.signal);
  const listening = async (): Promise<string> => {
    await Promise.race([once(output, 'data'), ended]);
    return (await readFile(join(home, 'api-address'), 'utf8')).trim();
  };
  return { abort, ended, log, listening };
}

describe('serve', () => {
  it('makes its home, answers, refuses a second one there, and stops in order', async () => {
    const service = start();
    const address = await service.listening();
    const token = (await readFile(join(home, 'api-token'), 'utf8')).trim();

    const answer = await fetch(`${address}/api/v1/service`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await answer.json()).toEqual({ version: '1.2.3', engine: 'qemu', repaired: [] });
    await expect(start().ended).rejects.toMatchObject({ code: 'service.already-running' });
    expect((await stat(home)).mode & 0o066).toBe(0);

    service.abort.abort();
    await service.ended;

    expect(await readdir(home)).not.toContain('api-address');
    const events = service.log.map((line) => (JSON.parse(line) as { event: string }).event);
    expect(events).toContain('service.started');
    expect(events.at(-1)).toBe('database.stopped');
    expect(service.log.join('')).not.toContain(token);
  });

  it('gives its home back when it cannot start', async () => {
    const first = start({ DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' });
    await expect(first.ended).rejects.toThrow();
    expect(first.log.join('')).not.toContain('secret');

    const second = start();
    await second.listening();
    second.abort.abort();
    await second.ended;
  });
});
