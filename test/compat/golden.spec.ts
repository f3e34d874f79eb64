import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FORMAT_VERSION } from '../../src/vault/format/format-version.ts';
import { DirectoryObjectStore } from '../../src/vault/object-stores/folder/directory.ts';
import { damagedObjects } from '../../src/vault/checks/control-check.ts';
import type { RecoveryPoint } from '../../src/vault/points/recovery-point.ts';
import { Vault } from '../../src/vault/vault.ts';
import { cliRun, type CliRun, type CliRunOptions } from '../support/service/cli-run.ts';
import { Draw } from '../support/draw.ts';
import { signal } from '../support/vault/vault-lab.ts';
import { makeGoldenVaults } from './golden-scenario.ts';
import { objectHashes, readGolden, sha256 as hashOf, type Golden } from './golden-vault.ts';
import { PlainReader } from './plain-reader.ts';

const GOLDEN = new URL('golden/', import.meta.url).pathname;
/** Every kind of object that a vault can hold: docs/vault-format.md, section 2. */
const KINDS: Readonly<Record<string, RegExp>> = {
  'retired list': /^fmt\/.*[.]retired$/,
  'data pack': /^d\/.*[.]0[.]/,
  'second generation': /^d\/.*[.]1[.]/,
  'metadata pack': /^m\//,
  'unsealed point': /^s\/[^.]*$/,
  seal: /^s\/.*[.]ok$/,
  retired: /^retire\/[^.]*$/,
  request: /[.]ask$/,
  condemned: /^gc\/[^.]*$/,
  'carried out': /^gc\/.*[.]done$/,
  damaged: /^bad\/[^.]*$/,
  healed: /^bad\/.*[.]done$/,
  alias: /^alias\//,
  hold: /^hold\/.*[0-9a-f]$/,
  'hold end': /[.]end$/,
  probe: /^probe\//,
  kept: /^keep\//,
};

/** A golden vault in a folder where it may be changed. */
class GoldenLab {
  readonly #folder: string;
  readonly golden: Golden;

  private constructor(folder: string, golden: Golden) {
    this.#folder = folder;
    this.golden = golden;
  }

  static async open(source: string): Promise<GoldenLab> {
    const folder = await mkdtemp(join(tmpdir(), 'hyperkeep-golden-'));
    await cp(source, folder, { recursive: true });
    const lab = new GoldenLab(folder, await readGolden(folder));
    await writeFile(lab.path('recovery.txt'), lab.golden.recoveryFile, { mode: 0o600 });
    return lab;
  }

  path(...parts: string[]): string {
    return join(this.#folder, ...parts);
  }

  get store(): DirectoryObjectStore {
    return new DirectoryObjectStore(this.path('vault'));
  }

  async rescue(words: readonly string[], options: Partial<CliRunOptions> = {}): Promise<CliRun> {
    const all = ['rescue', ...words, '--vault', 'vault', '--json'];
    return await cliRun(all, { folder: this.#folder, ...options });
  }

  /** Runs a command that must succeed, and returns its document. */
  async document<T>(words: readonly string[], options: Partial<CliRunOptions> = {}): Promise<T> {
    const { first, retention } = this.golden.passphrases;
    const secrets = { passphrase: first, retentionPassphrase: retention };
    const { exitCode, stdout, stderr } = await this.rescue(words, { ...secrets, ...options });
    if (exitCode !== 0) {
      throw new Error(`rescue ${words.join(' ')}: ${stderr}`);
    }
    return JSON.parse(stdout) as T;
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) {
    hash.update(piece as Buffer);
  }
  return hash.digest('hex');
}

/** Every disk, and the NVRAM, of these points as `rescue restore` writes them, by their hashes. */
async function restoreAll(
  lab: GoldenLab,
  points: Golden['points'],
  words: readonly string[],
  options: Partial<CliRunOptions>,
): Promise<{ restored: string[]; expected: string[] }> {
  const lists = { restored: [] as string[], expected: [] as string[] };
  for (const { id, vmName, disks, files } of points) {
    const to = `out-${id}`;
    await lab.document(
      ['restore', id, '--to', to, '--format', 'raw', '--firmware-code', 'expected.json', ...words],
      options,
    );
    for (const { name, sha256 } of disks) {
      lists.expected.push(`${id} ${name} ${sha256}`);
      lists.restored.push(`${id} ${name} ${await fileHash(lab.path(to, `${vmName}-${name}.raw`))}`);
    }
    for (const { name, sha256 } of files.filter((file) => file.name === 'nvram')) {
      lists.expected.push(`${id} ${name} ${sha256}`);
      lists.restored.push(`${id} ${name} ${await fileHash(lab.path(to, `${vmName}-nvram.qcow2`))}`);
    }
    await rm(lab.path(to), { recursive: true });
  }
  return lists;
}

const versions = existsSync(GOLDEN)
  ? readdirSync(GOLDEN).filter((name) => /^v\d+$/.test(name))
  : [];
/** Until a version is kept, vaults that the program makes now stand for it. */
const sources = [
  ...versions,
  ...(versions.includes(`v${String(FORMAT_VERSION)}`) ? [] : ['made now']),
].flatMap((version) => ['everything', 'hmac'].map((name) => `${version}/${name}`));

const draw = new Draw('golden');

describe.each(sources)('the golden vault %s', (name) => {
  let lab: GoldenLab;
  let made: string | undefined;

  beforeAll(async () => {
    if (name.startsWith('made now')) {
      made = await mkdtemp(join(tmpdir(), 'hyperkeep-made-'));
      await makeGoldenVaults(made);
    }
    const source = made === undefined ? join(GOLDEN, name) : join(made, name.split('/')[1] ?? '');
    lab = await GoldenLab.open(source);
  });

  afterAll(async () => {
    await lab.remove();
    if (made !== undefined) {
      await rm(made, { recursive: true });
    }
  });

  it('is as it was made', async () => {
    expect(await objectHashes(lab.store)).toEqual(lab.golden.objects);
    expect(lab.golden.points.length).toBeGreaterThan(0);
  });

  it('holds every kind of object', () => {
    const keys = Object.keys(lab.golden.objects);
    const found = Object.keys(KINDS).filter((kind) => keys.some((key) => KINDS[kind]?.test(key)));

    if (name.endsWith('everything')) {
      expect(found).toEqual(Object.keys(KINDS));
    }
  });

  it.each<[string, (golden: Golden) => [string[], Partial<CliRunOptions>] | undefined]>([
    ['the passphrase', ({ passphrases }) => [[], { passphrase: passphrases.first }]],
    [
      'the second passphrase',
      ({ passphrases }) =>
        name.endsWith('hmac') ? undefined : [[], { passphrase: passphrases.second }],
    ],
    ['the recovery file', () => [['--recovery-file', 'recovery.txt'], {}]],
  ])('gives every byte back with %s', async (what, way) => {
    const [words, options] = way(lab.golden) ?? [[], { passphrase: lab.golden.passphrases.first }];
    // All secrets open the same keys: checks all points with the first, and some with the others.
    const { points } = lab.golden;
    const some = what === 'the passphrase' ? points : draw.some(points, 2);

    const { restored, expected } = await restoreAll(lab, some, words, options);

    expect(restored).toEqual(expected);
  });

  it('is read by who knows nothing but the document', () => {
    const { passphrases, recoveryFile, points } = lab.golden;
    for (const secret of [passphrases.first, recoveryFile]) {
      const reader = new PlainReader(lab.path('vault'), secret);
      const hashes = reader.points().map(({ id, disks, files }) => ({
        id,
        disks: disks.map((disk) => [disk.name, hashOf(reader.disk(disk))]),
        files: files.map((file) => [file.name, hashOf(reader.file(file))]),
      }));

      const expected = points.map(({ id, disks, files }) => ({
        id,
        disks: disks.map((disk) => [disk.name, disk.sha256]),
        files: files.map((file) => [file.name, file.sha256]),
      }));
      expect(hashes.sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(expected);
    }
  });

  it('gives the small files back, shows no other points, and holds no small object that is not genuine', async () => {
    const unlock = { kind: 'passphrase', passphrase: lab.golden.passphrases.first } as const;
    const vault = await Vault.open(lab.store, unlock, { workers: 0 }, signal);
    for (const { id, files } of lab.golden.points) {
      for (const { name: file, sha256 } of files) {
        const content = await vault.readFile(id, file, signal);
        expect(hashOf(content)).toBe(sha256);
      }
    }
    const ids = (await vault.points(signal)).map(({ id }) => id);
    const damaged = await damagedObjects(vault.inside, signal);
    await vault.close();

    expect(ids).toEqual(lab.golden.points.map(({ id }) => id).sort());
    expect(damaged).toEqual([]);
  });

  it('verifies at level 3; a scrub finds the damage that is in it and no other', async () => {
    const { points } = await lab.document<{ points: { ok: boolean; level: number }[] }>(['verify']);
    const scrubbed = await lab.rescue(['scrub', '--all'], {
      passphrase: lab.golden.passphrases.first,
    });

    expect(points.map(({ ok, level }) => `${String(ok)} ${String(level)}`)).toEqual(
      lab.golden.points.map(() => 'true 3'),
    );
    expect(scrubbed.exitCode === 0).toBe(lab.golden.damaged.length === 0);
    for (const key of lab.golden.damaged) {
      expect(scrubbed.stderr + scrubbed.stdout).toContain(key);
    }
  });

  it('takes a new backup that stores nothing twice, and gives space back', async () => {
    const { golden } = lab;
    const last = golden.points.findLast(
      ({ disks }) => disks.length === 1 && disks[0]?.name === 'root',
    );
    const { id = '', vmName = '' } = last ?? {};
    await lab.document(['restore', id, '--to', 'back', '--format', 'raw']);
    const image = join('back', `${vmName}-root.raw`);

    const imported = await lab.document<{ point: RecoveryPoint }>([
      ...['import', image, '--vm', vmName, '--disk-name', 'root'],
    ]);
    const [, ...others] = golden.points.filter((point) => point.vmName.startsWith('tiny'));
    for (const point of others) {
      await lab.document(['retire', point.id, '--yes']);
    }
    const pruned = await lab.document<{ report: { removedPoints: unknown[] } }>([
      ...['prune', '--young', '0', '--all-points-are-listed', '--yes'],
    ]);
    const verified = await lab.document<{ points: { ok: boolean }[] }>(['verify']);

    expect(imported.point.disks.map(({ statistics }) => statistics.newBytes)).toEqual([0]);
    expect(pruned.report.removedPoints.length).toBeGreaterThanOrEqual(others.length);
    expect(verified.points).toHaveLength(golden.points.length + 1 - others.length);
    expect(verified.points.every(({ ok }) => ok)).toBe(true);
  });
});

describe('the document of the format', () => {
  it('is of the version that the program writes', async () => {
    const text = await readFile(new URL('../../docs/vault-format.md', import.meta.url), 'utf8');

    expect(text.split('\n')[0]).toBe(`# The vault format, version ${String(FORMAT_VERSION)}`);
  });
});
