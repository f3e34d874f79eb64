import { cliRun, type CliRun, type CliRunOptions } from '../../support/service/cli-run.ts';
import { MIB, PASSPHRASE, RescueLab } from './rescue-lab.ts';

const NEW = 'another passphrase for tests';
const RETENTION = 'only for the one who retires';

interface KeysDocument {
  readonly keys: readonly { readonly id: string; readonly kind: string; readonly label: string }[];
  readonly keyVersion: number;
  readonly separateRetentionKey: boolean;
}

describe('rescue keys', () => {
  let lab: RescueLab;

  beforeAll(async () => {
    lab = await RescueLab.open();
    await lab.write('disk.raw', 4 * MIB, [{ offset: 0, length: MIB, seed: 'keys' }]);
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  async function run(
    words: readonly string[],
    options: Partial<CliRunOptions> = {},
  ): Promise<CliRun> {
    const passphrases = { passphrase: PASSPHRASE, ...options };
    return await cliRun(['rescue', ...words], { folder: lab.folder, ...passphrases });
  }

  async function done(
    words: readonly string[],
    options: Partial<CliRunOptions> = {},
  ): Promise<CliRun> {
    const answer = await run(words, options);
    if (answer.exitCode !== 0) {
      throw new Error(`${words.join(' ')}: ${answer.stderr}`);
    }
    return answer;
  }

  it('creates a vault with a retention key of its own, changes every key, and the data stays', async () => {
    const vault = ['--vault', 'vault'];
    const created = await done(['create', ...vault, '--name', 'shop', '--separate-retention-key'], {
      retentionPassphrase: RETENTION,
    });
    expect(created.stdout).toContain('reads any part of an object');
    await done(['import', 'disk.raw', '--vm', 'web', ...vault]);

    await done(['keys', 'add', ...vault, '--label', 'anna'], { newPassphrase: NEW });
    const list = JSON.parse(
      (await done(['keys', 'list', ...vault, '--json'])).stdout,
    ) as KeysDocument;
    expect(list).toMatchObject({ keyVersion: 0, separateRetentionKey: true });
    expect(list.keys.map(({ kind, label }) => `${kind} ${label}`.trim())).toEqual([
      'passphrase',
      'recovery recovery file',
      'passphrase',
      'recovery recovery file',
      'passphrase anna',
    ]);
    const own = list.keys[0]?.id ?? '';
    expect(await run(['keys', 'remove', own, ...vault, '--yes'])).toMatchObject({ exitCode: 5 });
    await done(['keys', 'remove', own, ...vault, '--yes'], { passphrase: NEW });
    expect(await run(['points', ...vault])).toMatchObject({ exitCode: 3 });

    const missing = await run(['keys', 'rotate', ...vault, '--yes'], { passphrase: NEW });
    expect(missing.stderr).toContain('vault.retention-key-missing');
    const both = { passphrase: NEW, retentionPassphrase: RETENTION };
    await done(['keys', 'rotate', ...vault, '--yes', '--new-recovery-file', 'rotated.txt'], both);
    await done(['keys', 'change', ...vault], { passphrase: NEW, newPassphrase: PASSPHRASE });
    const points = await done(['points', ...vault, '--recovery-file', 'rotated.txt'], {});
    expect(points.stdout).toContain('web');
    const old = await run(['points', ...vault, '--recovery-file', 'hyperkeep-recovery-shop.txt']);
    expect(old.exitCode).toBe(3);

    const refused = await run(['retire', 'latest', '--vm', 'web', ...vault, '--yes']);
    expect(refused).toMatchObject({ exitCode: 3 });
    await done(['retire', 'latest', '--vm', 'web', ...vault, '--yes'], {
      retentionPassphrase: RETENTION,
    });
  });

  it('tries a store, and refuses locks where there are none', async () => {
    const table = await done(['probe', '--vault', 'tried'], {});
    expect(table.stdout).toContain('object lock is not enabled here');
    const markdown = await done(['probe', '--vault', 'vault', '--markdown', '--save']);
    expect(markdown.stdout).toContain('| reads any part of an object | yes |');
    const locked = await run([
      'create',
      '--vault',
      'locked',
      '--name',
      'l',
      '--lock',
      'compliance',
    ]);
    expect(locked.stderr).toContain('vault.store-unfit');
    const keep = await run(['keep', '--vault', 'vault']);
    expect(keep.stderr).toContain('vault.not-locked');
    const first = await run(['points', '--vault', 'vault', '--first-version']);
    expect(first.stderr).toContain('keeps no versions');
  });
});
