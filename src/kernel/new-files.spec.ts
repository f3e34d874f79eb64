import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NewFiles } from './new-files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-new-files-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('NewFiles', () => {
  it('gives all files their names together', async () => {
    await using files = new NewFiles();
    for (const name of ['a', 'b']) {
      await writeFile(files.add(join(folder, name)), name);
    }
    expect((await readdir(folder)).sort()).toEqual(['a.partial', 'b.partial']);

    await files.publish();

    expect((await readdir(folder)).sort()).toEqual(['a', 'b']);
  });

  it('leaves nothing when it is given up', async () => {
    {
      await using files = new NewFiles();
      await writeFile(files.add(join(folder, 'a')), 'a');
      files.add(join(folder, 'never-written'));
    }

    expect(await readdir(folder)).toEqual([]);
  });

  it('never replaces a file that appeared meanwhile', async () => {
    await using files = new NewFiles();
    await writeFile(files.add(join(folder, 'a')), 'ours');
    await writeFile(join(folder, 'a'), 'theirs');

    await expect(files.publish()).rejects.toMatchObject({ code: 'target.exists' });

    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('theirs');
  });

  it.each(['a', 'a.partial'])('refuses to begin when %s is there', async (name) => {
    await writeFile(join(folder, name), '');

    await expect(NewFiles.refuseExisting([join(folder, 'a')])).rejects.toMatchObject({
      code: 'target.exists',
    });
  });
});
