import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeTemporaryFolder } from './temporary-folder.ts';

describe('makeTemporaryFolder', () => {
  let place: string;

  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), 'hk-places-'));
    await writeFile(join(place, 'file'), '');
  });

  afterEach(async () => {
    await rm(place, { recursive: true });
  });

  it('goes to the next place where one takes nothing', async () => {
    const places = [join(place, 'none'), join(place, 'file'), '/proc/self', place];
    const folder = await makeTemporaryFolder('x-', places);

    expect(folder.startsWith(`${place}/x-`)).toBe(true);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it('says what the first place said when none takes it', async () => {
    const places = [join(place, 'none'), join(place, 'file')];

    await expect(makeTemporaryFolder('x-', places)).rejects.toMatchObject({
      code: 'file.missing',
      message: expect.stringContaining(join(place, 'none')) as string,
    });
  });
});
