import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecretFiles } from './secret-files.ts';

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'hk-secrets-')), 'secrets');
});
afterEach(async () => {
  await rm(join(folder, '..'), { recursive: true });
});

const SECRET = Buffer.from('the master key of a vault, 32 b!');

describe('SecretFiles', () => {
  it('gives a secret back after a restart, from files that only the owner can open', async () => {
    await new SecretFiles(folder).put('vault-1', SECRET);

    expect(await new SecretFiles(folder).get('vault-1')).toEqual(SECRET);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    for (const name of ['vault-1', 'host-key']) {
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    }
  });

  it('never writes a secret in the clear', async () => {
    await new SecretFiles(folder).put('vault-1', SECRET);

    expect((await readFile(join(folder, 'vault-1'))).includes(SECRET)).toBe(false);
  });

  it('makes one host key when two secrets come first at once', async () => {
    const secrets = new SecretFiles(folder);

    await Promise.all([secrets.put('vault-1', SECRET), secrets.put('vault-2', SECRET)]);

    const again = new SecretFiles(folder);
    expect(await again.get('vault-1')).toEqual(SECRET);
    expect(await again.get('vault-2')).toEqual(SECRET);
  });

  it('knows nothing of a secret that was never put, or was removed', async () => {
    const secrets = new SecretFiles(folder);
    expect(await secrets.get('vault-1')).toBeUndefined();
    await secrets.put('vault-1', SECRET);

    await secrets.remove('vault-1');
    await secrets.remove('vault-1');

    expect(await secrets.get('vault-1')).toBeUndefined();
  });

  it.each([0, 9, 25, -1])('refuses a file whose byte %d was changed', async (position) => {
    const secrets = new SecretFiles(folder);
    await secrets.put('vault-1', SECRET);
    const stored = await readFile(join(folder, 'vault-1'));
    const at = position < 0 ? stored.length - 1 : position;
    stored.writeUInt8(stored.readUInt8(at) ^ 1, at);
    await writeFile(join(folder, 'vault-1'), stored);

    await expect(secrets.get('vault-1')).rejects.toMatchObject({ code: 'secret.unreadable' });
  });

  it('refuses a file of another name', async () => {
    const secrets = new SecretFiles(folder);
    await secrets.put('vault-1', SECRET);
    await writeFile(join(folder, 'vault-2'), await readFile(join(folder, 'vault-1')), {
      mode: 0o600,
    });

    await expect(secrets.get('vault-2')).rejects.toMatchObject({ code: 'secret.unreadable' });
  });

  it('refuses a file that others may read', async () => {
    const secrets = new SecretFiles(folder);
    await secrets.put('vault-1', SECRET);
    await chmod(join(folder, 'vault-1'), 0o644);

    await expect(secrets.get('vault-1')).rejects.toMatchObject({ code: 'secret.exposed' });
  });

  it('refuses a name that leaves its folder', async () => {
    await expect(new SecretFiles(folder).put('../x', SECRET)).rejects.toThrow('not a name');
  });
});
