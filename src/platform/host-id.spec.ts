import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOrMakeHostId } from './host-id.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hk-host-id-'));
});
afterEach(async () => {
  await rm(home, { recursive: true });
});

describe('the id of this host', () => {
  it('is made once, stays, and is for the owner alone', async () => {
    const made = await readOrMakeHostId(home);

    expect(await readOrMakeHostId(home)).toBe(made);
    expect((await stat(join(home, 'host-id'))).mode & 0o777).toBe(0o600);
  });

  it.each(['', 'not an id\n'])('is not made anew where the file holds %j', async (content) => {
    await writeFile(join(home, 'host-id'), content);

    await expect(readOrMakeHostId(home)).rejects.toMatchObject({ code: 'service.host-id-damaged' });
  });
});
