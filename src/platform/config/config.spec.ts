import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MiB } from '../../kernel/bytes.ts';
import { Environment, readConfig } from './config.ts';
import { takePassphrase } from './passphrase.ts';

const ROOT = { userId: 0, homeFolder: '/root' };

describe('readConfig', () => {
  it('needs no setting', () => {
    expect(readConfig({}, ROOT)).toEqual({
      home: '/var/lib/hyperkeep',
      runFolder: '/var/lib/hyperkeep/run',
      http: { port: 8480 },
      database: {},
      log: { level: 'info' },
      jobs: { concurrency: 2 },
      vault: { storePatienceMs: 600_000, packSize: 64 * MiB },
    });
  });

  it('lives in the home folder of a person', () => {
    const config = readConfig({}, { userId: 1000, homeFolder: '/home/eve' });

    expect(config.home).toBe('/home/eve/.local/share/hyperkeep');
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
    await writeFile(join(folder, 'p'), 'open sesame\nrest\n');
    const environment = { HYPERKEEP_PASSPHRASE_FILE: join(folder, 'p') };

    expect(takePassphrase(environment)).toBe('open sesame');
    expect(environment).toEqual({});
    await rm(folder, { recursive: true });
  });
});
