import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB, RescueLab } from './rescue-lab.ts';

describe('rescue verify of all points', () => {
  let lab: RescueLab;

  beforeAll(async () => {
    lab = await RescueLab.open();
    await lab.rescue(['create', '--vault', 'vault', '--name', 'verified']);
    await lab.write('disk.raw', MIB, [{ offset: 0, length: 100_000, seed: 'one' }]);
    for (const vm of ['web', 'mail']) {
      await lab.document(['import', 'disk.raw', '--vm', vm, '--vault', 'vault']);
    }
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('fails for a point that cannot be read itself, which no list shows', async () => {
    const { points } = await lab.document<{
      points: { id: string; vmId: string; vmName: string }[];
    }>(['points', '--vault', 'vault']);
    const web = points.find(({ vmName }) => vmName === 'web');
    const path = lab.path('vault', 's', web?.vmId ?? '', web?.id ?? '');
    const bytes = await readFile(path);
    bytes[80] = (bytes[80] ?? 0) ^ 1;
    await rm(path);
    await writeFile(path, bytes);

    const all = await lab.rescue(['verify', '--vault', 'vault', '--level', '0']);
    const mail = await lab.rescue(['verify', '--vault', 'vault', '--vm', 'mail', '--level', '0']);

    expect(all.exitCode).toBe(9);
    expect(all.stderr).toContain(`${web?.id ?? ''} cannot be read: `);
    expect(all.stderr).toContain('1 of 2 recovery points not whole');
    // Nothing readable has the name of its VM any more, so it counts when any VM is named.
    expect(mail.exitCode).toBe(9);
    expect(mail.stderr).toContain('cannot be read');
    expect(await readdir(join(lab.path('vault'), 's'))).toHaveLength(2);
  });
});
