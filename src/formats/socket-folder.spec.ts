import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
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
    await mkdir(empty, { mode: 0o700 });
    await mkdir(used, { mode: 0o700 });
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
    await mkdir(deaf, { mode: 0o700 });
    await mkdir(served, { mode: 0o700 });
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

  it.each([
    ['belongs to somebody else', async (folder: string) => chown(folder, 65_534, 65_534)],
    ['others may write', async (folder: string) => chmod(folder, 0o777)],
    ['is a link', async (folder: string) => moveAndLink(folder)],
  ])('touches nothing in a folder of such a name that %s', async (how, change) => {
    if (how.startsWith('belongs') && process.getuid?.() !== 0) {
      return;
    }
    const folder = join(tmpdir(), `hk-nbd-${String(await goneProcess())}-strange`);
    await mkdir(folder, { mode: 0o700 });
    const listener = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawn(process.execPath, ['-e', listener, join(folder, 'x.sock')]), 'close');
    await change(folder);

    const ours = await makeSocketFolder(() => true);

    expect(existsSync(join(folder, 'x.sock'))).toBe(true);
    for (const path of [ours, folder, moved(folder)]) {
      await rm(path, { recursive: true, force: true });
    }
  });

  it('goes to /tmp when everybody may rename what is in the folder for temporary files', async () => {
    const open = await mkdtemp(join(tmpdir(), 'hk-open-'));
    await chmod(open, 0o777);
    const { TMPDIR } = process.env;
    process.env['TMPDIR'] = open;
    try {
      const folder = await makeSocketFolder(() => true);
      await rm(folder, { recursive: true });

      expect(folder).toMatch(/^[/]tmp[/]hk-nbd-/);
    } finally {
      if (TMPDIR === undefined) {
        delete process.env['TMPDIR'];
      } else {
        process.env['TMPDIR'] = TMPDIR;
      }
      await rm(open, { recursive: true });
    }
  });
});

async function moveAndLink(folder: string): Promise<void> {
  await rename(folder, moved(folder));
  await symlink(moved(folder), folder);
}

function moved(folder: string): string {
  return join(tmpdir(), `moved-${basename(folder)}`);
}
