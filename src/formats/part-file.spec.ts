import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PartFile } from './part-file.ts';

describe('PartFile', () => {
  let folder: string;
  let target: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-test-'));
    target = join(folder, 'disk.raw');
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('has its name only when it is published, and nobody else may read it', async () => {
    const { part, file } = await PartFile.create(target);
    await file.writeFile('content');
    await file.close();
    expect(await readdir(folder)).toEqual(['disk.raw.part']);

    await part.publish();

    expect(await readdir(folder)).toEqual(['disk.raw']);
    expect(await readFile(target, 'utf8')).toBe('content');
    expect((await stat(target)).mode & 0o777).toBe(0o600);
  });

  it('leaves nothing when it is given up', async () => {
    const { part, file } = await PartFile.create(target);
    await file.close();

    await part.discard();

    expect(await readdir(folder)).toEqual([]);
  });

  it('never overwrites, neither at the start nor at the end', async () => {
    const { part, file } = await PartFile.create(target);
    await file.close();
    await writeFile(target, 'precious');

    await expect(part.publish()).rejects.toMatchObject({ code: 'formats.image-exists' });
    await expect(PartFile.create(target)).rejects.toMatchObject({ code: 'formats.image-exists' });

    expect(await readFile(target, 'utf8')).toBe('precious');
    expect(await readdir(folder)).toEqual(['disk.raw']);
  });

  it('takes the place of what a crash left, and of a writer that still lives', async () => {
    const first = await PartFile.create(target);
    const second = await PartFile.create(target);
    await second.file.writeFile('second');
    await second.file.close();

    await expect(first.part.publish()).rejects.toMatchObject({ code: 'formats.image-replaced' });
    await first.file.close();
    await second.part.publish();

    expect(await readFile(target, 'utf8')).toBe('second');
  });
});
