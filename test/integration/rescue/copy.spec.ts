import { writeFile } from 'node:fs/promises';
import { MIB, RescueLab } from './rescue-lab.ts';

interface CopyDocument {
  readonly copy: {
    readonly sent: { readonly objects: number; readonly bytes: number };
    readonly points: number;
  };
  readonly spending: { readonly requests: number; readonly stores: readonly object[] };
}

interface PruneDocument {
  readonly prune: { readonly points: readonly string[]; readonly packs: readonly object[] };
}

describe('rescue copy', () => {
  let lab: RescueLab;

  beforeAll(async () => {
    lab = await RescueLab.open();
    await lab.rescue(['create', '--vault', 'vault', '--name', 'copied']);
    await lab.write('disk.raw', 8 * MIB, [{ offset: 0, length: 3 * MIB, seed: 'one' }]);
    await lab.document(['import', 'disk.raw', '--vm', 'web', '--vault', 'vault']);
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('plans, stops at a limit, goes on, and makes a vault of its own without a passphrase', async () => {
    const words = ['copy', '--from', 'vault', '--to', 'there'];
    const plan = await lab.document<{ missing: { objects: number } }>([...words, '--dry-run']);
    const capped = await lab.rescue([...words, '--max-bytes', '1M'], '');
    expect(capped).toMatchObject({ exitCode: 6 });
    expect(capped.stderr).toContain('budget.reached');

    const run = await lab.rescue([...words, '--read-back', '--json'], '');
    const { copy, spending } = JSON.parse(run.stdout) as CopyDocument;
    expect(copy.points).toBe(1);
    expect(copy.sent.objects).toBeLessThanOrEqual(plan.missing.objects);
    expect(spending.stores).toHaveLength(2);

    const again = await lab.document<CopyDocument>([...words, '--limit-rate', '1G']);
    expect(again.copy.sent.objects).toBe(0);
    await lab.document([
      'restore',
      'latest',
      '--vault',
      'there',
      '--to',
      'out',
      '--format',
      'raw',
      '--disk',
      'disk0',
    ]);
    const listed = await lab.document<{ points: unknown[] }>(['points', '--vault', 'there']);
    expect(listed.points).toMatchObject([{ origin: { kind: 'import' } }]);
    expect(await lab.contentHash(lab.path('out', 'web-disk0.raw'), 'raw')).toBe(
      await lab.contentHash(lab.path('disk.raw'), 'raw'),
    );
  });

  it('keeps the caches of vault and copy apart: a backup into the copy misses nothing there', async () => {
    await lab.document(['copy', '--from', 'vault', '--to', 'apart']);
    await lab.write('disk.raw', 8 * MIB, [{ offset: 4 * MIB, length: MIB, seed: 'two' }]);
    await lab.document(['import', 'disk.raw', '--vm', 'web', '--vault', 'vault']);
    // The vault has this content now and the copy has not.
    await lab.document(['import', 'disk.raw', '--vm', 'web', '--vault', 'apart']);

    await lab.document(['verify', '--vault', 'apart']);
  });

  it('follows the source in what was given up, after a yes', async () => {
    await lab.document(['create', '--vault', 'short', '--name', 'short']);
    for (const seed of ['a', 'b']) {
      await lab.write('short.raw', 4 * MIB, [{ offset: 0, length: 2 * MIB, seed }]);
      await lab.document(['import', 'short.raw', '--vm', 'web', '--vault', 'short']);
    }
    const words = ['copy', '--from', 'short', '--to', 'followed', '--prune'];
    const { prune } = await lab.document<PruneDocument>(words);
    expect(prune).toMatchObject({ points: [], packs: [] });
    const { points } = await lab.document<{ points: { id: string }[] }>([
      'points',
      '--vault',
      'short',
    ]);
    await lab.document(['retire', points[0]?.id ?? '', '--vault', 'short', '--yes']);
    await lab.document([
      'prune',
      '--vault',
      'short',
      '--young',
      '0',
      '--all-points-are-listed',
      '--yes',
    ]);

    const refused = await lab.rescue(words);
    expect(refused.exitCode).toBe(2);
    const done = await lab.document<PruneDocument>([...words, '--yes']);
    expect(done.prune.points).toHaveLength(1);
    expect(done.prune.packs.length).toBeGreaterThan(0);
    await lab.document(['verify', '--vault', 'followed']);
  });

  it('shows what a command took, and takes prices of your own', async () => {
    const { spending } = await lab.document<CopyDocument>(['verify', '--vault', 'vault']);
    expect(spending.requests).toBeGreaterThan(3);

    const prices = await lab.rescue(['prices']);
    await writeFile(lab.path('prices.json'), prices.stdout);
    const checked = await lab.rescue(['prices', '--prices', 'prices.json']);
    expect(checked.stdout).toBe(prices.stdout);
    await writeFile(lab.path('prices.json'), '{}');
    const refused = await lab.rescue(['verify', '--vault', 'vault', '--prices', 'prices.json']);
    expect(refused.exitCode).toBe(2);
  });

  it.each([
    ['--limit-rate', 'fast'],
    ['--max-requests', '0'],
    ['--max-cost', '-1'],
  ])('refuses %s %s', async (option, value) => {
    const run = await lab.rescue(['copy', '--from', 'vault', '--to', 'no', option, value]);
    expect(run.exitCode).toBe(2);
  });
});
