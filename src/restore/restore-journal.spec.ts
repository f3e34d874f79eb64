import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RestoreJournal } from './restore-journal.ts';

describe('RestoreJournal', () => {
  let folder: string;
  let journal: RestoreJournal;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-journal-'));
    journal = new RestoreJournal(join(folder, 'notes'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('removes what a killed restore left, and no file that has its name', async () => {
    const [system, data] = [join(folder, 'system.raw'), join(folder, 'data.raw')];
    await journal.begin([system, data, join(folder, 'vm.json')]);
    await writeFile(system, 'whole');
    await writeFile(`${data}.part`, 'half of it', { mode: 0o600 });

    expect(await journal.removeLeftovers()).toEqual([`${data}.part`]);

    expect((await readdir(folder)).toSorted()).toEqual(['notes', 'system.raw']);
    expect(await journal.removeLeftovers()).toEqual([]);
  });

  it('forgets a restore that has ended', async () => {
    const file = join(folder, 'system.raw');
    const noted = await journal.begin([file]);
    await noted[Symbol.asyncDispose]();
    await writeFile(`${file}.part`, 'of somebody else', { mode: 0o600 });

    expect(await journal.removeLeftovers()).toEqual([]);
    expect(await readdir(folder)).toContain('system.raw.part');
  });

  it.each(['', '{"files"', '{"files":[1]}'])(
    'starts with a note that is damaged: %s',
    async (note) => {
      const file = join(folder, 'system.raw');
      await journal.begin([file]);
      await writeFile(`${file}.part`, 'half of it', { mode: 0o600 });
      await writeFile(join(folder, 'notes', 'damaged.json'), note);

      expect(await journal.removeLeftovers()).toEqual([`${file}.part`]);

      expect(await readdir(join(folder, 'notes'))).toEqual([]);
    },
  );

  it('has nothing to remove at the first start', async () => {
    expect(await journal.removeLeftovers()).toEqual([]);
  });
});
