import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmptyFile } from './empty-file.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hyperkeep-empty-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('openEmptyFile', () => {
  it('makes a file, and takes an empty one', async () => {
    for (const name of ['new', 'empty']) {
      await (name === 'empty' ? writeFile(join(folder, name), '') : undefined);
      const file = await openEmptyFile(join(folder, name));
      await file.write('content');
      await file.close();
      expect(await readFile(join(folder, name), 'utf8')).toBe('content');
    }
  });

  it('touches no file with something in it', async () => {
    const path = join(folder, 'precious');
    await writeFile(path, 'content');

    await expect(openEmptyFile(path)).rejects.toMatchObject({ code: 'formats.image-exists' });
    expect(await readFile(path, 'utf8')).toBe('content');
  });

  it.each(['an empty file', 'nothing'])('follows no link to %s', async (to) => {
    const [path, other] = [join(folder, 'disk.raw.part'), join(folder, 'other')];
    if (to === 'an empty file') {
      await writeFile(other, '');
    }
    await symlink(other, path);
    const before = await readdir(folder);

    await expect(openEmptyFile(path)).rejects.toMatchObject({ code: 'formats.image-exists' });
    expect(await readdir(folder)).toEqual(before);
  });
});
