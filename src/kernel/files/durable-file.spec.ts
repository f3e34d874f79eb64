import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeDurably } from './durable-file.ts';

describe('writeDurably', () => {
  let folder = '';

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-durable-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('replaces the content, for the owner alone', async () => {
    const path = join(folder, 'state.json');
    await writeDurably(path, 'old');
    await writeDurably(path, 'new');

    expect(await readFile(path, 'utf8')).toBe('new');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['state.json']);
  });

  it('leaves no temporary file behind when it fails', async () => {
    const path = join(folder, 'a-folder');
    await mkdir(path);

    await expect(writeDurably(path, 'x')).rejects.toMatchObject({ system: 'EISDIR' });
    expect(await readdir(folder)).toEqual(['a-folder']);
  });
});
