import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeSocketFolder } from './socket-folder.ts';

async function goneProcess(): Promise<number> {
  const child = spawn('true');
  await once(child, 'close');
  return child.pid ?? 0;
}

describe('makeSocketFolder', () => {
  it('makes a folder for us alone and removes the empty ones of processes that are gone', async () => {
    const gone = await goneProcess();
    const empty = join(tmpdir(), `hk-nbd-${String(gone)}-empty`);
    const used = join(tmpdir(), `hk-nbd-${String(gone)}-used`);
    await mkdir(empty);
    await mkdir(used);
    await writeFile(join(used, 'nbd'), '');
    const ours = await makeSocketFolder(() => true);
    const second = await makeSocketFolder(() => true);
    try {
      expect((await stat(ours)).mode & 0o777).toBe(0o700);
      expect(existsSync(empty)).toBe(false);
      expect(existsSync(used)).toBe(true);
      expect(existsSync(ours)).toBe(true);
    } finally {
      for (const folder of [ours, second, used]) {
        await rm(folder, { recursive: true });
      }
    }
  });

  it('removes a socket that nobody listens on, and leaves one that is served', async () => {
    const gone = await goneProcess();
    const deaf = join(tmpdir(), `hk-nbd-${String(gone)}-deaf`);
    const served = join(tmpdir(), `hk-nbd-${String(gone)}-served`);
    await mkdir(deaf);
    await mkdir(served);
    const listener = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawn(process.execPath, ['-e', listener, join(deaf, 'nbd.sock')]), 'close');
    const server = createServer().listen(join(served, 'nbd.sock'));
    await once(server, 'listening');
    expect(existsSync(join(deaf, 'nbd.sock'))).toBe(true);

    const ours = await makeSocketFolder(() => true);

    expect(existsSync(deaf)).toBe(false);
    expect(existsSync(join(served, 'nbd.sock'))).toBe(true);
    server.close();
    await once(server, 'close');
    for (const folder of [ours, served]) {
      await rm(folder, { recursive: true });
    }
  });

  it('goes to /tmp when the folder for temporary files is too deep for a socket', async () => {
    const folder = await makeSocketFolder(() => false);
    await rm(folder, { recursive: true });

    expect(folder).toMatch(/^[/]tmp[/]hk-nbd-/);
  });
});
