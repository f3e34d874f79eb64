import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MiB } from '../../kernel/text/bytes.ts';
import { Fault } from '../../kernel/fault.ts';
import { Environment, readConfig } from './config.ts';
import { takePassphrase } from './passphrase.ts';

const ROOT = { userId: 0, homeFolder: '/root' };

describe('readConfig', () => {
  it('needs no setting', () => {
    expect(readConfig({}, ROOT)).toEqual({
      home: '/var/lib/hyperkeep',
      runFolder: '/var/lib/hyperkeep/run',
      database: {},
      log: { level: 'info' },
      policies: { guestCommands: false },
      jobs: { concurrency: 2 },
      collector: expect.objectContaining({ floors: expect.anything() as object }) as object,
      verification: { isOn: true, bytes: 16 * 1024 * MiB },
      kept: { runsMs: 400 * 86_400_000, goneMs: 400 * 86_400_000 },
      vault: { storePatienceMs: 600_000, packSize: 64 * MiB },
    });
  });

  it('lives in the home folder of a person', () => {
    const config = readConfig({}, { userId: 1000, homeFolder: '/home/eve' });

    expect(config.home).toBe('/home/eve/.local/share/hyperkeep');
  });

  it.each([
    [{ HTTP_PORT: '0' }, { host: '127.0.0.1', port: 0 }],
    [{ HTTP_HOST: '10.0.0.5' }, { host: '10.0.0.5', port: 8480 }],
    [
      { HTTP_HOST: '::1', HTTP_PORT: '80' },
      { host: '::1', port: 80 },
    ],
  ])('listens on a network when %j asks for it', (settings, http) => {
    expect(readConfig(settings, ROOT)).toMatchObject({ http });
  });

  it('reports every wrong setting together, by name and never by value', () => {
    const read = (): unknown =>
      readConfig({ HTTP_PORT: 'x', DATABASE_URL: 'hunter2', STORE_PATIENCE: '10' }, ROOT);

    expect(read).toThrow(/HTTP_PORT[^]*DATABASE_URL[^]*STORE_PATIENCE/);
    expect(read).not.toThrow(/hunter2/);
  });

  it('takes the database address from a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hk-config-'));
    await writeFile(join(folder, 'url'), 'postgres://user:secret@host/db\n');

    const config = readConfig({ DATABASE_URL_FILE: join(folder, 'url') }, ROOT);

    expect(config.database.url).toBe('postgres://user:secret@host/db');
    await rm(folder, { recursive: true });
  });

  it('knows exactly the settings that docs/configuration.md explains', async () => {
    const text = await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
    const documented = [...text.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name ?? '');
    const extra = [
      'HYPERKEEP_URL',
      'HYPERKEEP_TOKEN_FILE',
      'HYPERKEEP_VAULT',
      'HYPERKEEP_ENDPOINT',
      'HYPERKEEP_PASSPHRASE',
      'HYPERKEEP_PASSPHRASE_FILE',
      'HYPERKEEP_RETENTION_PASSPHRASE',
      'HYPERKEEP_RETENTION_PASSPHRASE_FILE',
      'HYPERKEEP_NEW_PASSPHRASE',
      'HYPERKEEP_NEW_PASSPHRASE_FILE',
      'DATABASE_URL_FILE',
    ];

    expect(documented.sort()).toEqual([...Object.keys(Environment.shape), ...extra].sort());
  });
});

function codeOf(take: () => unknown): string | undefined {
  try {
    take();
    return undefined;
  } catch (error) {
    return error instanceof Fault ? error.code : undefined;
  }
}

describe('takePassphrase', () => {
  it('removes the passphrase from the environment', () => {
    const environment = { HYPERKEEP_PASSPHRASE: 'open sesame', PATH: '/bin' };

    expect(takePassphrase(environment)).toBe('open sesame');
    expect(environment).toEqual({ PATH: '/bin' });
  });

  it('takes the other ones by their own names', () => {
    const environment = {
      HYPERKEEP_RETENTION_PASSPHRASE: 'for retiring',
      HYPERKEEP_NEW_PASSPHRASE: 'of tomorrow',
    };

    expect(takePassphrase(environment)).toBeUndefined();
    expect(takePassphrase(environment, 'retention')).toBe('for retiring');
    expect(takePassphrase(environment, 'new')).toBe('of tomorrow');
    expect(environment).toEqual({});
  });

  it('reads the first line of a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hk-config-'));
    await writeFile(join(folder, 'p'), 'open sesame\nrest\n', { mode: 0o600 });
    const environment = { HYPERKEEP_PASSPHRASE_FILE: join(folder, 'p') };

    expect(takePassphrase(environment)).toBe('open sesame');
    expect(environment).toEqual({});
    await rm(folder, { recursive: true });
  });

  describe('from a file that is no good', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'hk-config-'));
    });
    afterEach(async () => {
      await rm(folder, { recursive: true });
    });

    it.each([
      ['that others may read', 0o644, 'open sesame\n', 'chmod 600'],
      ['that a group may read', 0o640, 'open sesame\n', 'chmod 600'],
      ['that is empty', 0o600, '', 'is empty'],
      ['whose first line is empty', 0o600, '\nopen sesame\n', 'is empty'],
      ['that is huge', 0o600, 'x'.repeat(70_000), 'too large'],
    ])('says so: one %s', async (_, mode, content, text) => {
      const path = join(folder, 'p');
      await writeFile(path, content);
      await chmod(path, mode);

      const take = (): unknown => takePassphrase({ HYPERKEEP_PASSPHRASE_FILE: path });

      expect(codeOf(take)).toBe(mode === 0o600 ? 'request.invalid' : 'secret.exposed');
      expect(take).toThrow(text);
      expect(take).toThrow('HYPERKEEP_PASSPHRASE_FILE');
      expect(take).not.toThrow('sesame');
    });

    it.each([
      ['is not there', 'none', 'There is no file'],
      ['is a folder', '.', 'is a folder'],
    ])('says so: one that %s', (_, name, text) => {
      const take = (): unknown =>
        takePassphrase({ HYPERKEEP_NEW_PASSPHRASE_FILE: join(folder, name) }, 'new');

      expect(codeOf(take)).toBe('request.invalid');
      expect(take).toThrow(text);
    });
  });
});
