import {
  backUp,
  createVault,
  fingerprint,
  restored,
  signal,
  PASSPHRASE,
  VM,
} from '../../../test/support/vault/vault-lab.ts';
import {
  diesAfterWrites,
  FaultyObjectStore,
} from '../../../test/support/vault/faulty-object-store.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { keysOf } from '../../../test/support/vault/vault-damage.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { isFault } from '../../kernel/fault.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { Vault } from '../vault.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';
import { VaultKeys, type KeepRecoveryFile } from './vault-keys.ts';

const clock = new SystemClock();
const kdf = { memoryKib: 64, passes: 1, lanes: 1 };
const SECOND = 'the second passphrase';
const RETENTION = 'only for the one who retires';

function byPassphrase(passphrase: string = PASSPHRASE): VaultUnlock {
  return { kind: 'passphrase', passphrase };
}

async function openKeys(
  store: ObjectStore,
  vault: VaultUnlock = byPassphrase(),
  retention?: VaultUnlock,
): Promise<VaultKeys> {
  const unlocks = { vault, ...(retention && { retention }) };
  return VaultKeys.open(store, unlocks, { clock, kdf }, signal);
}

async function open(
  store: ObjectStore,
  unlock: VaultUnlock = byPassphrase(),
  retention?: VaultUnlock,
): Promise<Vault> {
  return Vault.open(store, unlock, { workers: 0, ...(retention && { retention }) }, signal);
}

/** Returns a keeper of recovery files in memory. */
function keeper(): { files: string[]; keep: KeepRecoveryFile } {
  const files: string[] = [];
  const keep: KeepRecoveryFile = async (content) => {
    files.push(content);
    return Promise.resolve(content);
  };
  return { files, keep };
}

function diskOf(seed: string): MemoryDisk {
  const disk = new MemoryDisk(600_000);
  disk.write(0, seededBytes(seed, 400_000));
  return disk;
}

/** Returns a whole key object, which opens nothing under another name. */
async function anotherKeyObject(store: ObjectStore): Promise<Uint8Array> {
  const [first] = await Array.fromAsync(store.list('keys/', signal));
  return (await store.get(first?.key ?? '', signal)) ?? new Uint8Array();
}

async function opens(store: ObjectStore, unlock: VaultUnlock): Promise<boolean> {
  try {
    await open(store, unlock);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns what opens the vault after something was killed, for reading and writing: always a
 * passphrase and a recovery file.
 */
async function workingWays(
  store: ObjectStore,
  files: readonly string[],
  pointId: string,
): Promise<VaultUnlock[]> {
  const ways: VaultUnlock[] = [
    byPassphrase(),
    byPassphrase(SECOND),
    ...files.map((content) => ({ kind: 'recovery-file', content }) as const),
  ];
  const working: VaultUnlock[] = [];
  for (const way of ways) {
    if (await opens(store, way)) {
      working.push(way);
    }
  }
  const kinds = new Set(working.map(({ kind }) => kind));
  expect(kinds).toEqual(new Set(['passphrase', 'recovery-file']));
  for (const way of working) {
    const reopened = await open(store, way);
    expect((await reopened.points(signal, VM.vmId)).map(({ id }) => id)).toEqual([pointId]);
    await backUp(reopened, diskOf('killed'), { vm: { ...VM, vmId: 'another' } });
  }
  return working;
}

describe('the keys of a vault', () => {
  it('are several: a passphrase is added, changed and removed', async () => {
    const store = new MemoryObjectStore();
    await createVault(store);
    await (
      await openKeys(store)
    ).addPassphrase({ passphrase: SECOND, label: 'anna' }, 'vault', signal);
    expect(await opens(store, byPassphrase(SECOND))).toBe(true);

    await (
      await openKeys(store, byPassphrase(SECOND))
    ).changePassphrase('another passphrase', signal);
    expect(await opens(store, byPassphrase(SECOND))).toBe(false);

    const keys = await openKeys(store, byPassphrase('another passphrase'));
    const entries = await keys.list(signal);
    expect(entries.map(({ kind, label, isOpener }) => ({ kind, label, isOpener }))).toEqual([
      { kind: 'passphrase', label: '', isOpener: false },
      { kind: 'recovery', label: 'recovery file', isOpener: false },
      { kind: 'passphrase', label: 'anna', isOpener: true },
    ]);
    await keys.remove(entries[0]?.id ?? '', signal);
    expect(await opens(store, byPassphrase())).toBe(false);
    for (const entry of await keys.list(signal)) {
      await expect(keys.remove(entry.id, signal)).rejects.toMatchObject({
        code: 'vault.key-in-use',
      });
    }
    await expect(keys.remove('999', signal)).rejects.toMatchObject({ code: 'vault.key-not-found' });
    await expect(
      keys.addPassphrase({ passphrase: 'short', label: '' }, 'vault', signal),
    ).rejects.toMatchObject({ code: 'vault.weak-passphrase' });
  });

  it('are not two when a change that was stopped half way is made again', async () => {
    const store = new MemoryObjectStore();
    await createVault(store);
    const anna = { passphrase: SECOND, label: 'anna' };
    const first = await (await openKeys(store)).addPassphrase(anna, 'vault', signal);
    expect(await (await openKeys(store)).addPassphrase(anna, 'vault', signal)).toBe(first);
    const dying = new FaultyObjectStore(store);
    const keys = await openKeys(dying, byPassphrase(SECOND));
    dying.follow(({ kind }) => (kind === 'remove' ? 'dies' : undefined));
    await expect(keys.changePassphrase('the third passphrase', signal)).rejects.toThrow();

    await (
      await openKeys(store, byPassphrase(SECOND))
    ).changePassphrase('the third passphrase', signal);

    const labels = (await (await openKeys(store)).list(signal)).map(({ label }) => label);
    expect(labels).toEqual(['', 'recovery file', 'anna']);
    // The key that opened the vault is not the one that replaces it.
    const same = await openKeys(store, byPassphrase('the third passphrase'));
    await same.changePassphrase('the third passphrase', signal);
    expect(await opens(store, byPassphrase('the third passphrase'))).toBe(true);
  });

  it('get a new recovery file in the place of the old one, and keep the old one if the new one is not kept', async () => {
    const store = new MemoryObjectStore();
    const { recoveryFile } = await createVault(store);
    const { files, keep } = keeper();
    const keys = await openKeys(store);
    await expect(
      keys.newRecoveryFile(async () => Promise.reject(new Error('disk full')), signal),
    ).rejects.toThrow('disk full');
    await expect(
      keys.newRecoveryFile(async (content) => Promise.resolve(content.slice(0, -150)), signal),
    ).rejects.toMatchObject({ code: 'vault.key-corrupt' });
    expect(await opens(store, { kind: 'recovery-file', content: recoveryFile })).toBe(true);

    await keys.newRecoveryFile(keep, signal);

    expect(await opens(store, { kind: 'recovery-file', content: files[0] ?? '' })).toBe(true);
    expect(await opens(store, { kind: 'recovery-file', content: recoveryFile })).toBe(false);
  });

  it('are not given up for new ones that the store keeps wrongly', async () => {
    const store = new MemoryObjectStore();
    const { recoveryFile } = await createVault(store);
    const keys = await openKeys(store);
    const put = store.put.bind(store);
    let damages = true;
    store.put = async (key, data, ...rest) => {
      const isDamaged = damages && key.startsWith('keys/');
      await put(key, isDamaged ? await anotherKeyObject(store) : data, ...rest);
    };
    const { keep } = keeper();
    const corrupt = { code: 'vault.key-corrupt' };

    await expect(keys.changePassphrase(SECOND, signal)).rejects.toMatchObject(corrupt);
    await expect(keys.newRecoveryFile(keep, signal)).rejects.toMatchObject(corrupt);
    await expect(
      keys.rotate([{ passphrase: SECOND, label: '' }], keep, signal),
    ).rejects.toMatchObject(corrupt);

    damages = false;
    expect(await opens(store, byPassphrase())).toBe(true);
    expect(await opens(store, { kind: 'recovery-file', content: recoveryFile })).toBe(true);
    expect(await opens(store, byPassphrase(SECOND))).toBe(false);
  });

  it('are rotated: old points stay readable, dedup goes on, old keys open nothing any more', async () => {
    const store = new MemoryObjectStore();
    const { vault, recoveryFile } = await createVault(store);
    const stored = vault.exportKey();
    const disk = diskOf('rotate');
    const first = await backUp(vault, disk);
    const { files, keep } = keeper();

    await (await openKeys(store)).rotate([{ passphrase: SECOND, label: '' }], keep, signal);

    for (const old of [byPassphrase(), { kind: 'recovery-file', content: recoveryFile } as const]) {
      expect(await opens(store, old)).toBe(false);
    }
    await expect(open(store, { kind: 'master-key', key: stored })).rejects.toMatchObject({
      code: 'vault.key-outdated',
    });
    const later = await open(store, byPassphrase(SECOND));
    const packs = (await Array.fromAsync(store.list('d/', signal))).length;
    const again = await backUp(later, disk);
    expect(await Array.fromAsync(store.list('d/', signal))).toHaveLength(packs);
    expect(again.parentId).toBe(first.id);
    disk.write(100_000, seededBytes('more', 200_000));
    const third = await backUp(later, disk);
    expect((await Array.fromAsync(store.list('d/', signal))).length).toBeGreaterThan(packs);
    const fresh = await open(store, { kind: 'recovery-file', content: files[0] ?? '' });
    expect(await fingerprint((await restored(fresh, third, disk.size)).reader())).toBe(
      await fingerprint(disk.reader()),
    );
    for (const point of [first, again, third]) {
      expect(await fresh.verify(point.id, 3, { signal })).toMatchObject({ ok: true });
    }
    // The old key alone reads what was there before, and nothing that came later.
    const leaked = await open(store, { kind: 'master-key', key: later.exportKey() });
    await leaked.retire(first.id, signal);
    expect((await later.points(signal)).map(({ id }) => id)).toEqual([again.id, third.id]);
  });

  it('are not rotated by two at once', async () => {
    const store = new MemoryObjectStore();
    await createVault(store);
    const { keep } = keeper();
    const other = await openKeys(store);
    const keepSlowly: KeepRecoveryFile = async (content) => {
      await other.addPassphrase({ passphrase: SECOND, label: '' }, 'vault', signal);
      return content;
    };

    await expect(
      (await openKeys(store)).rotate(
        [{ passphrase: 'third passphrase', label: '' }],
        keepSlowly,
        signal,
      ),
    ).rejects.toMatchObject({ code: 'vault.keys-changed' });

    expect(await opens(store, byPassphrase())).toBe(true);
    expect(await opens(store, byPassphrase(SECOND))).toBe(true);
    expect(await opens(store, byPassphrase('third passphrase'))).toBe(false);
    await (await openKeys(store)).rotate([{ passphrase: SECOND, label: '' }], keep, signal);
    expect(await opens(store, byPassphrase(SECOND))).toBe(true);
  });

  it('open the vault wherever a change is killed', async () => {
    const changes: ((keys: VaultKeys, keep: KeepRecoveryFile) => Promise<void>)[] = [
      async (keys, keep) => keys.rotate([{ passphrase: PASSPHRASE, label: '' }], keep, signal),
      async (keys, keep) => keys.newRecoveryFile(keep, signal),
      async (keys) => keys.changePassphrase(SECOND, signal),
      async (keys, keep) =>
        keys.separateRetention({ passphrase: RETENTION, label: '' }, keep, signal),
    ];
    for (const change of changes) {
      let done = false;
      for (let writes = 0; !done; writes++) {
        const inner = new MemoryObjectStore();
        const { vault, recoveryFile } = await createVault(inner);
        const point = await backUp(vault, diskOf('killed'));
        const store = new FaultyObjectStore(inner);
        const { files, keep } = keeper();
        const keys = await openKeys(store);
        store.follow(diesAfterWrites(writes));
        try {
          await change(keys, keep);
          done = true;
        } catch {
          // Killed: what is in the store counts.
        }
        const working = await workingWays(inner, [recoveryFile, ...files], point.id);
        // The change can still be made.
        await change(await openKeys(inner, working[0]), keep).catch((error: unknown) => {
          expect(['request.invalid', 'vault.retention-key-missing']).toContain(
            isFault(error) ? error.code : error,
          );
        });
      }
    }
  });
});

describe('a separate retention key', () => {
  it('is needed for retiring, and is opened by its passphrase or the recovery file', async () => {
    const store = new MemoryObjectStore();
    const { vault, recoveryFile } = await createVault(store, { retentionPassphrase: RETENTION });
    const disk = diskOf('separate');
    const points = [];
    for (let made = 0; made < 3; made++) {
      points.push(await backUp(vault, disk));
    }
    const [first, second, third] = points.map(({ id }) => id);

    const host = await open(store);
    await expect(host.retire(first ?? '', signal)).rejects.toMatchObject({
      code: 'vault.retention-key-missing',
    });
    await (await open(store, byPassphrase(), byPassphrase(RETENTION))).retire(first ?? '', signal);
    await (
      await open(store, { kind: 'recovery-file', content: recoveryFile })
    ).retire(second ?? '', signal);
    await expect(open(store, byPassphrase(), byPassphrase(SECOND))).rejects.toMatchObject({
      code: 'vault.wrong-passphrase',
    });
    await expect(open(store, byPassphrase(RETENTION))).rejects.toMatchObject({
      code: 'vault.wrong-passphrase',
    });
    expect((await (await open(store)).points(signal)).map(({ id }) => id)).toEqual([third]);
  });

  it('can be added later: what was retired stays so, and the master key alone retires nothing more', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = diskOf('later');
    const first = await backUp(vault, disk);
    const second = await backUp(vault, disk);
    await vault.retire(first.id, signal);
    const { files, keep } = keeper();

    await (
      await openKeys(store)
    ).separateRetention({ passphrase: RETENTION, label: '' }, keep, signal);

    const ids = async (of: Vault): Promise<string[]> =>
      (await of.points(signal)).map(({ id }) => id);
    expect(await ids(await open(store))).toEqual([second.id]);
    // A host with the old derived key still signs with it: nobody accepts that, and the host gets a
    // fault.
    await expect(vault.retire(second.id, signal)).rejects.toMatchObject({
      code: 'vault.key-outdated',
    });
    expect(await ids(await open(store))).toEqual([second.id]);
    await expect((await open(store)).retire(second.id, signal)).rejects.toMatchObject({
      code: 'vault.retention-key-missing',
    });

    const content = files[0] ?? '';
    await (
      await openKeys(store, { kind: 'recovery-file', content })
    ).rotate([{ passphrase: SECOND, label: '' }], keep, signal);
    const rotated = await open(store, byPassphrase(SECOND), byPassphrase(RETENTION));
    expect(await ids(rotated)).toEqual([second.id]);
    await rotated.retire(second.id, signal);
    expect(await ids(await open(store, byPassphrase(SECOND)))).toEqual([]);
  });

  it('must be opened to make what opens it', async () => {
    const store = new MemoryObjectStore();
    await createVault(store, { retentionPassphrase: RETENTION });
    const { keep } = keeper();
    const keys = await openKeys(store);
    const missing = { code: 'vault.retention-key-missing' };

    await expect(keys.newRecoveryFile(keep, signal)).rejects.toMatchObject(missing);
    await expect(
      keys.rotate([{ passphrase: SECOND, label: '' }], keep, signal),
    ).rejects.toMatchObject(missing);
    await expect(
      keys.addPassphrase({ passphrase: SECOND, label: '' }, 'retention', signal),
    ).rejects.toMatchObject(missing);

    const withBoth = await openKeys(store, byPassphrase(), byPassphrase(RETENTION));
    await withBoth.addPassphrase({ passphrase: SECOND, label: '' }, 'retention', signal);
    await expect(open(store, byPassphrase(), byPassphrase(SECOND))).resolves.toBeDefined();
  });
});

describe('what the format has no room for', () => {
  it('is a label of more than 64 characters: refused before anything is written', async () => {
    const { store } = await createVaultIn();
    const keys = await openKeys(store);
    const before = await keysOf(store, '');
    const { keep, files } = keeper();
    const label = 'l'.repeat(65);

    const invalid = { code: 'request.invalid' };
    await expect(
      keys.addPassphrase({ passphrase: SECOND, label }, 'vault', signal),
    ).rejects.toMatchObject(invalid);
    await expect(keys.rotate([{ passphrase: SECOND, label }], keep, signal)).rejects.toMatchObject(
      invalid,
    );
    await expect(
      keys.separateRetention({ passphrase: RETENTION, label }, keep, signal),
    ).rejects.toMatchObject(invalid);

    expect(await keysOf(store, '')).toEqual(before);
    expect(files).toEqual([]);
  });

  it('is a 65th change of the retention key: the vault still opens', async () => {
    const { store } = await createVaultIn();
    const keys = await openKeys(store);
    const { keep } = keeper();
    const change = async (): Promise<void> =>
      keys.separateRetention({ passphrase: RETENTION, label: '' }, keep, signal);
    for (let round = 0; round < 64; round++) {
      await change();
    }

    await expect(change()).rejects.toMatchObject({ code: 'vault.limit-reached' });

    expect(await opens(store, byPassphrase())).toBe(true);
  });
});

async function createVaultIn(): Promise<{ store: MemoryObjectStore }> {
  const store = new MemoryObjectStore();
  await createVault(store);
  return { store };
}
