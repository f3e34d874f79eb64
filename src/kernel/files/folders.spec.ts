import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolders, makeFoldersSync } from './folders.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-folders-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const WAYS = [
  ['makeFolders', makeFolders],
  ['makeFoldersSync', async (path: string) => makeFoldersSync(path)],
] as const;

describe.each(WAYS)('%s', (_, make) => {
  it('makes what is missing for its owner alone, and says where it began', async () => {
    const path = join(folder, 'a/b/c');

    expect(await make(path)).toBe(join(folder, 'a'));

    for (const made of ['a', 'a/b', 'a/b/c']) {
      expect((await stat(join(folder, made))).mode & 0o777).toBe(0o700);
    }
    expect(await make(path)).toBeUndefined();
  });

  it('takes a link to a folder for one', async () => {
    await mkdir(join(folder, 'real'));
    await symlink(join(folder, 'real'), join(folder, 'link'));

    expect(await make(join(folder, 'link/below'))).toBe(join(folder, 'link/below'));
    expect(await readdir(join(folder, 'real'))).toEqual(['below']);
  });

  it('ends where the system lets nobody make a folder', async () => {
    for (const path of ['/proc/x', '/proc/x/y', '/proc/self/fd/x/y']) {
      await expect(make(path)).rejects.toMatchObject({ system: 'ENOENT' });
    }
  });

  it('says what stands in the way', async () => {
    await writeFile(join(folder, 'file'), '');
    await symlink(join(folder, 'loop'), join(folder, 'loop'));

    await expect(make(join(folder, 'file'))).rejects.toMatchObject({ system: 'EEXIST' });
    await expect(make(join(folder, 'file/below'))).rejects.toMatchObject({ system: 'ENOTDIR' });
    await expect(make(join(folder, 'loop/below'))).rejects.toMatchObject({ system: 'ELOOP' });
  });

  it('is content with what is there, although nothing can be made in it', async () => {
    expect(await make('/proc/self')).toBeUndefined();
    expect(await make('/')).toBeUndefined();
  });
});
