import { MIB, RescueLab } from './rescue-lab.ts';

interface Restored {
  readonly files: readonly string[];
}

describe('two commands at once', () => {
  let lab: RescueLab;
  let vault: string;

  beforeAll(async () => {
    lab = await RescueLab.open();
    vault = lab.path('vault');
    await lab.document(['create', '--vault', vault, '--name', 'main']);
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('leave one whole restore of two to one place, and fail the other', async () => {
    const image = await lab.write('place.raw', 8 * MIB, [
      { offset: 0, length: 6 * MIB, seed: 'one place' },
    ]);
    await lab.document(['import', image, '--vm', 'place', '--vault', vault]);
    const to = ['--to', lab.path('place'), '--format', 'raw'];
    const words = ['restore', 'latest', '--vm', 'place', '--vault', vault, ...to];

    const runs = await Promise.all([lab.rescue(words), lab.rescue(words)]);

    const failed = runs.filter(({ exitCode }) => exitCode !== 0);
    expect(failed).toHaveLength(1);
    expect(failed[0]?.stderr).toMatch(/error target[.](replaced|exists): /);
    const restored = lab.path('place', 'place-disk0.raw');
    expect(await lab.contentHash(restored, 'raw')).toBe(await lab.contentHash(image, 'raw'));
  });

  it('bring an import in whole while the vault is pruned beside it', async () => {
    const image = await lab.write('pruned.raw', 24 * MIB, [
      { offset: 0, length: 20 * MIB, seed: 'pruned' },
    ]);
    const words = ['--vm', 'pruned', '--vault', vault];

    const importing = lab.document(['import', image, ...words]);
    const rules = ['--young', '0', '--grace', '0', '--all-points-are-listed', '--yes'];
    for (let round = 0; round < 3; round += 1) {
      expect((await lab.rescue(['prune', ...rules, '--vault', vault])).exitCode).not.toBe(70);
    }
    await importing;

    const to = ['--to', lab.path('pruned'), '--format', 'raw'];
    const { files } = await lab.document<Restored>(['restore', 'latest', ...words, ...to]);
    expect(await lab.contentHash(files[0] ?? '', 'raw')).toBe(await lab.contentHash(image, 'raw'));
  });
});
