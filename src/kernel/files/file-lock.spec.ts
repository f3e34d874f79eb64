import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FileLock } from './file-lock.ts';

const { signal } = new AbortController();

describe('FileLock', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp('/tmp/hk-lock-');
    path = join(folder, 'lock');
  });

  afterEach(async () => rm(folder, { recursive: true, force: true }));

  it('has one holder at a time, in one process too', async () => {
    const first = await FileLock.take(path, 0, signal);
    expect(first).toBeDefined();
    expect(await FileLock.take(path, 0, signal)).toBeUndefined();

    const waiting = FileLock.take(path, 5_000, signal);
    await first?.release();

    const second = await waiting;
    expect(second).toBeDefined();
    await second?.release();
  });

  it('is not inherited by programs that its holder starts', async () => {
    const lock = await FileLock.take(path, 0, signal);
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    await once(child, 'spawn');
    await lock?.release();

    const next = await FileLock.take(path, 0, signal);

    expect(next).toBeDefined();
    await next?.release();
    child.kill('SIGKILL');
  });

  it('goes with a holder that is killed', async () => {
    const module = new URL('./file-lock.ts', import.meta.url).href;
    const code = `
      const { FileLock } = await import('${module}');
      await FileLock.take(${JSON.stringify(path)}, 0, new AbortController().signal);
      process.stdout.write('held');
      setInterval(() => undefined, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    expect(await FileLock.take(path, 0, signal)).toBeUndefined();

    holder.kill('SIGKILL');

    const lock = await FileLock.take(path, 5_000, signal);
    expect(lock).toBeDefined();
    await lock?.release();
  });

  it('stops waiting when it is told to', async () => {
    const lock = await FileLock.take(path, 0, signal);
    const controller = new AbortController();
    const waiting = FileLock.take(path, 60_000, controller.signal);
    setImmediate(() => {
      controller.abort();
    });

    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await lock?.release();
  });
});
