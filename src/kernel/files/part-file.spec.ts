import {
  chmod,
  chown,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
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
    const part = await PartFile.create(target);
    await writeFile(part.path, 'content');
    expect(await readdir(folder)).toEqual(['disk.raw.part']);

    await part.publish();

    expect(await readdir(folder)).toEqual(['disk.raw']);
    expect(await readFile(target, 'utf8')).toBe('content');
    expect((await stat(target)).mode & 0o777).toBe(0o600);
  });

  it('is given up in words when two begin it at the same moment', async () => {
    for (let round = 0; round < 30; round += 1) {
      const begun = await Promise.allSettled([
        PartFile.create(target),
        PartFile.create(target),
        PartFile.create(target),
      ]);
      for (const one of begun) {
        if (one.status === 'fulfilled') {
          await one.value.discard();
        } else {
          expect(one.reason).toMatchObject({ code: 'target.replaced' });
        }
      }
    }
  });

  it('leaves nothing when it is given up', async () => {
    const part = await PartFile.create(target);

    await part.discard();

    expect(await readdir(folder)).toEqual([]);
  });

  it('never overwrites, neither at the start nor at the end', async () => {
    const part = await PartFile.create(target);
    await writeFile(target, 'precious');

    await expect(part.publish()).rejects.toMatchObject({ code: 'target.exists' });
    await expect(PartFile.create(target)).rejects.toMatchObject({ code: 'target.exists' });
    await part.discard();

    expect(await readFile(target, 'utf8')).toBe('precious');
    expect(await readdir(folder)).toEqual(['disk.raw']);
  });

  it('takes the place of what a crash left, and of a writer that still lives', async () => {
    const first = await PartFile.create(target);
    const second = await PartFile.create(target);
    await writeFile(second.path, 'second');

    await expect(first.publish()).rejects.toMatchObject({ code: 'target.replaced' });
    await first.discard();
    await second.publish();

    expect(await readFile(target, 'utf8')).toBe('second');
  });

  it.each([
    ['others may read', async (part: string) => chmod(part, 0o644)],
    ['belongs to another user', async (part: string) => chown(part, 65_534, 65_534)],
    ['is a link', async (part: string) => linkTo(part)],
  ])('leaves a file under its temporary name that %s', async (how, change) => {
    if (how.startsWith('belongs') && process.getuid?.() !== 0) {
      return;
    }
    const path = `${target}.part`;
    await writeFile(path, 'precious', { mode: 0o600 });
    await change(path);

    await expect(PartFile.create(target)).rejects.toMatchObject({ code: 'target.exists' });

    expect(await readFile(path, 'utf8')).toBe('precious');
  });
});

async function linkTo(path: string): Promise<void> {
  await rename(path, `${path}.behind`);
  await symlink(`${path}.behind`, path);
}
