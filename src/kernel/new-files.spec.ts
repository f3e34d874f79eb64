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
      await writeFile(await files.add(join(folder, name)), name);
    }
    expect((await readdir(folder)).sort()).toEqual(['a.part', 'b.part']);

    await files.publish();

    expect((await readdir(folder)).sort()).toEqual(['a', 'b']);
  });

  it('leaves nothing when it is given up', async () => {
    {
      await using files = new NewFiles();
      await writeFile(await files.add(join(folder, 'a')), 'a');
      await files.add(join(folder, 'never-written'));
    }

    expect(await readdir(folder)).toEqual([]);
  });

  it('never replaces a file that appeared meanwhile', async () => {
    await using files = new NewFiles();
    await writeFile(await files.add(join(folder, 'a')), 'ours');
    await writeFile(join(folder, 'a'), 'theirs');

    await expect(files.publish()).rejects.toMatchObject({ code: 'target.exists' });

    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('theirs');
  });

  it('refuses to begin when a file is there', async () => {
    await writeFile(join(folder, 'a'), '');

    await expect(NewFiles.refuseExisting([join(folder, 'a')])).rejects.toMatchObject({
      code: 'target.exists',
    });
  });

  it('begins anew when an earlier attempt was killed', async () => {
    await writeFile(join(folder, 'a.part'), 'a longer half of it');

    await NewFiles.refuseExisting([join(folder, 'a')]);
    await using files = new NewFiles();
    await writeFile(await files.add(join(folder, 'a')), 'whole', { flag: 'r+' });
    await files.publish();

    expect(await readdir(folder)).toEqual(['a']);
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('whole');
  });
});
