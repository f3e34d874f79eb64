import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB, RescueLab } from './rescue-lab.ts';

interface ScrubDocument {
  readonly scrub: { readonly packs: number; readonly damaged: readonly object[] };
  readonly points: readonly { readonly oldestMs?: number }[];
}

describe('rescue scrub, repair and restore --accept-loss', () => {
  let lab: RescueLab;

  beforeAll(async () => {
    lab = await RescueLab.open();
    await lab.rescue(['create', '--vault', 'vault', '--name', 'proven']);
    await lab.write('disk.raw', 8 * MIB, [{ offset: 0, length: 3 * MIB, seed: 'one' }]);
    await lab.document(['import', 'disk.raw', '--vm', 'web', '--vault', 'vault']);
    await cp(lab.path('vault'), lab.path('copy'), { recursive: true });
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('never takes a check of nothing for a success', async () => {
    await lab.rescue(['create', '--vault', 'empty', '--name', 'empty']);
    const refused = [
      ['verify', '--vault', 'empty'],
      ['verify', '--vm', 'nobody', '--vault', 'vault'],
      ['points', '--vm', 'nobody', '--vault', 'vault'],
      ['points', '--vm-id', 'nobody', '--vault', 'vault'],
      ['retire', 'latest', '--vm', 'nobody', '--yes', '--vault', 'vault'],
      ['hold', 'latest', '--vm', 'nobody', '--vault', 'vault'],
    ];
    for (const words of refused) {
      const { exitCode, stderr } = await lab.rescue(words);
      expect({ words, exitCode }).toEqual({ words, exitCode: 4 });
      expect(stderr).toMatch(/The vault has no recovery points/);
    }
    for (const words of [['points'], ['usage'], ['scrub']]) {
      const { exitCode, stdout } = await lab.rescue([...words, '--vault', 'empty']);
      expect({ words, exitCode }).toEqual({ words, exitCode: 0 });
      expect(stdout).toMatch(/No recovery points|nothing to check/);
    }
  });

  it('says that a hold with too long a reason holds nothing', async () => {
    const reason = 'x'.repeat(5000);
    const words = ['hold', 'latest', '--reason', reason, '--vault', 'vault'];

    expect(await lab.rescue(words)).toMatchObject({ exitCode: 2 });
    expect((await lab.document<{ holds: object[] }>(['hold', '--vault', 'vault'])).holds).toEqual(
      [],
    );
  });

  async function dataPack(): Promise<string> {
    const folder = lab.path('vault', 'd');
    const files = await readdir(folder, { recursive: true, withFileTypes: true });
    const file = files.find((entry) => entry.isFile());
    return join(file?.parentPath ?? '', file?.name ?? '');
  }

  /** Flips a byte near the end of the last frame. */
  async function damage(): Promise<void> {
    const path = await dataPack();
    const bytes = await readFile(path);
    const at = bytes.length - 100_000;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await rm(path);
    await writeFile(path, bytes);
  }

  it('proves a whole vault, also without its passphrase, and says since when', async () => {
    const all = await lab.document<ScrubDocument>([
      'scrub',
      '--vault',
      'vault',
      '--all',
      '--points',
    ]);
    const crc = await lab.rescue(
      ['scrub', '--vault', 'vault', '--all', '--without-key', '--json'],
      '',
    );

    expect(all.scrub).toMatchObject({ depth: 'ids', damaged: [], ended: 'all-checked' });
    expect(all.points[0]?.oldestMs).toBeGreaterThan(0);
    expect((JSON.parse(crc.stdout) as ScrubDocument).scrub).toMatchObject({
      depth: 'crc',
      damaged: [],
    });
  });

  it('finds damage, refuses to restore it, restores around it when told, and mends it from a copy', async () => {
    await damage();
    const crc = await lab.rescue(['scrub', '--vault', 'vault', '--all', '--without-key'], '');
    expect(crc.stderr).toContain('vault.damage-found');
    const found = await lab.rescue(['scrub', '--vault', 'vault', '--all']);
    expect(found.stderr).toContain('written down in bad/000001-');
    const restore = ['restore', 'latest', '--vault', 'vault', '--disk', 'disk0', '--format', 'raw'];

    const refused = await lab.rescue([...restore, '--to', 'refused']);
    expect(refused.stderr).toContain('vault.data-lost');
    expect(refused.stderr).toMatch(/disk disk0: .* lost, at byte \d+/);
    const lossy = await lab.document<{ losses: { bytes: number }[] }>([
      ...restore,
      '--to',
      'lossy',
      '--accept-loss',
    ]);
    expect(lossy.losses).toHaveLength(1);
    expect(lossy.losses[0]?.bytes).toBeLessThan(3 * MIB);

    const repair = ['repair', '--vault', 'vault', '--copy', 'copy'];
    const plan = await lab.document<{ packs: object[] }>([...repair, '--dry-run']);
    expect(plan.packs).toMatchObject([{ outcome: 'rewritten', lostSlots: 0 }]);
    expect((await lab.rescue(repair)).exitCode).not.toBe(0);
    await lab.document([...repair, '--yes']);
    await lab.document(['verify', '--vault', 'vault']);
    const mended = await lab.document([...restore, '--to', 'mended']);
    expect(mended).toMatchObject({ idsChecked: true });
    const quick = await lab.document([...restore, '--to', 'quick', '--no-ids']);
    expect(quick).toMatchObject({ idsChecked: false });
    expect(await lab.contentHash(lab.path('mended', 'web-disk0.raw'), 'raw')).toBe(
      await lab.contentHash(lab.path('disk.raw'), 'raw'),
    );
  });

  it('makes a vault openable again whose format and keys are gone', async () => {
    await rm(lab.path('vault', 'fmt'), { recursive: true });
    await rm(lab.path('vault', 'keys'), { recursive: true });
    expect((await lab.rescue(['points', '--vault', 'vault'])).stderr).toContain('vault.not-found');

    await lab.document(['repair', '--vault', 'vault', '--copy', 'copy', '--yes']);

    await lab.document(['verify', '--vault', 'vault', '--level', '2']);
  });
});
