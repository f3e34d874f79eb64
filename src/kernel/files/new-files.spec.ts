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

  it('lets the later of two attempts win, whatever their order goes on', async () => {
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    await using first = new NewFiles();
    await using second = new NewFiles();
    await first.add(a);
    await writeFile(await second.add(a), 'second');

    await expect(first.add(b)).rejects.toMatchObject({ code: 'target.replaced' });
    await expect(first.publish()).rejects.toMatchObject({ code: 'target.replaced' });
    await writeFile(await second.add(b), 'second');
    await second.publish();

    expect((await readdir(folder)).sort()).toEqual(['a', 'b']);
    expect(await readFile(a, 'utf8')).toBe('second');
  });

  it('names no file when one of them was begun by somebody else', async () => {
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    await using first = new NewFiles();
    await first.add(a);
    await first.add(b);
    await using second = new NewFiles();
    await second.add(b);

    await expect(first.publish()).rejects.toMatchObject({ code: 'target.replaced' });

    expect(await readdir(folder)).not.toContain('a');
  });

  it('refuses to begin when a file is there', async () => {
    await writeFile(join(folder, 'a'), '');

    await expect(NewFiles.refuseExisting([join(folder, 'a')])).rejects.toMatchObject({
      code: 'target.exists',
    });
  });

  it('begins anew when an earlier attempt was killed', async () => {
    await writeFile(join(folder, 'a.part'), 'a longer half of it', { mode: 0o600 });

    await NewFiles.refuseExisting([join(folder, 'a')]);
    await using files = new NewFiles();
    await writeFile(await files.add(join(folder, 'a')), 'whole', { flag: 'r+' });
    await files.publish();

    expect(await readdir(folder)).toEqual(['a']);
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('whole');
  });
});
