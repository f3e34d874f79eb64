import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PartialFiles } from './partial-files.ts';

describe('PartialFiles', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-partial-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('gives files their names only when all are whole', async () => {
    {
      await using files = new PartialFiles();
      await writeFile(files.add(join(folder, 'a')), 'A');
      await writeFile(files.add(join(folder, 'b')), 'B');
      expect((await readdir(folder)).sort()).toEqual(['a.partial', 'b.partial']);

      await files.publish();
    }

    expect((await readdir(folder)).sort()).toEqual(['a', 'b']);
  });

  it('leaves nothing when the work fails', async () => {
    const work = async (): Promise<void> => {
      await using files = new PartialFiles();
      await writeFile(files.add(join(folder, 'a')), 'A');
      files.add(join(folder, 'b'));
      throw new Error('the store is gone');
    };

    await expect(work()).rejects.toThrow('the store is gone');

    expect(await readdir(folder)).toEqual([]);
  });

  it('never replaces a file, even one that appears meanwhile', async () => {
    const path = join(folder, 'a');
    const work = async (): Promise<void> => {
      await using files = new PartialFiles();
      await writeFile(files.add(path), 'restored');
      await writeFile(path, 'precious');
      await files.publish();
    };

    await expect(work()).rejects.toMatchObject({ code: 'target.exists' });

    expect(await readFile(path, 'utf8')).toBe('precious');
    expect(await readdir(folder)).toEqual(['a']);
  });

  it('refuses targets that are there, and what a stopped restore left', async () => {
    await writeFile(join(folder, 'a'), '');
    await writeFile(join(folder, 'b.partial'), '');

    for (const name of ['a', 'b']) {
      await expect(PartialFiles.refuseExisting([join(folder, name)])).rejects.toMatchObject({
        code: 'target.exists',
      });
    }
    await PartialFiles.refuseExisting([join(folder, 'c')]);
  });
});
