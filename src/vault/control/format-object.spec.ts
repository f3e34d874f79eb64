import { faultCode } from '../../../test/support/service/fault-code.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  PASSPHRASE,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { VaultCopy } from '../copy/vault-copy.ts';
import { encodeControl } from './control-object.ts';
import { decodeFormat } from './format-object.ts';
import { VaultKeys } from '../access/vault-keys.ts';
import { FORMAT_VERSION, refuseOtherVersion } from '../format/format-version.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { unlockVault, vaultIdAt } from '../access/unlock.ts';

const clock = new SystemClock();
const kdf = { memoryKib: 64, passes: 1, lanes: 1 };
const MEANT = { incompatible: 0, readOnly: 0, compatible: 0, noCollect: 0 };

/** Makes a vault with one point whose format names features of a later program. */
async function setUp(features: Partial<typeof MEANT>, more: object = {}) {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(300_000);
  disk.write(0, seededBytes('features', 200_000));
  const point = await backUp(vault, disk);
  const keys = new KeyTree(vault.exportKey(), Buffer.from(vault.id, 'hex'));
  for (const { key } of await Array.fromAsync(store.list('fmt/', signal))) {
    const format = decodeFormat(keys, key, (await store.get(key, signal)) ?? new Uint8Array());
    const later = { ...format, ...more, features: { ...MEANT, ...features } };
    await store.remove(key, signal);
    const body = Buffer.from(JSON.stringify(later));
    await store.put(key, encodeControl(keys, 'format', key, body), signal);
  }
  return { store, disk, point };
}

describe('features this program does not know', () => {
  it('refuse the vault when they are incompatible', async () => {
    const { store } = await setUp({ incompatible: 4 });

    await expect(openVault(store)).rejects.toMatchObject({ code: 'vault.format-newer' });
  });

  it('refuse writing and let read when they are read-only', async () => {
    const { store, disk, point } = await setUp({ readOnly: 1 });
    const vault = await openVault(store);
    const before = (await Array.fromAsync(store.list('', signal))).length;

    await expect(backUp(vault, disk)).rejects.toMatchObject({ code: 'vault.format-newer' });
    await expect(vault.retire(point.id, signal)).rejects.toMatchObject({
      code: 'vault.format-newer',
    });

    const unlock = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
    const keys = await VaultKeys.open(store, { vault: unlock }, { clock, kdf }, signal);
    const second = { passphrase: 'another passphrase', label: '' };
    await expect(keys.addPassphrase(second, 'vault', signal)).rejects.toMatchObject({
      code: 'vault.format-newer',
    });
    await expect(vault.probe({ largeBytes: 1000 }, signal)).rejects.toMatchObject({
      code: 'vault.format-newer',
    });

    const back = await restored(vault, point, disk.size);
    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
    expect(await Array.fromAsync(store.list('', signal))).toHaveLength(before);
  });

  it('change nothing when they are compatible', async () => {
    const { store, disk } = await setUp({ compatible: 1 });
    const vault = await openVault(store);

    await expect(backUp(vault, disk)).resolves.toMatchObject({ vmName: 'web' });
  });

  it.each([{ incompatible: 1 }, { readOnly: 2 }, { noCollect: 2 ** 31 }])(
    'refuse copying, without a key too: %j',
    async (features) => {
      const { store: source } = await setUp(features);
      const target = new MemoryObjectStore();

      const copying = new VaultCopy({ source, target, clock }).run({ signal });

      await expect(copying).rejects.toMatchObject({ code: 'vault.format-newer' });
      expect(await Array.fromAsync(target.list('', signal))).toEqual([]);
    },
  );

  it('and fields that it does not know stay when it writes a new format', async () => {
    const { store } = await setUp({ compatible: 8 }, { tide: { high: 1 } });
    const unlock = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
    const keys = await VaultKeys.open(store, { vault: unlock }, { clock, kdf }, signal);

    await keys.rotate(
      [{ passphrase: PASSPHRASE, label: '' }],
      (file) => Promise.resolve(file),
      signal,
    );

    const { format, formatKey } = await unlockVault(store, { vault: unlock }, signal);
    expect(formatKey).toMatch(/^fmt\/000002-/);
    expect(format).toMatchObject({ features: { compatible: 8 }, tide: { high: 1 } });
  });
});

describe('another version of the format', () => {
  /** Makes a vault whose format object names the next version. */
  async function ofNextVersion(isGenuine: boolean): Promise<MemoryObjectStore> {
    const { store } = await setUp({});
    const { keys, formatKey } = await unlockVault(
      store,
      { vault: { kind: 'passphrase', passphrase: PASSPHRASE } },
      signal,
    );
    const object = Buffer.from((await store.get(formatKey, signal)) ?? []);
    object.writeUInt16LE(FORMAT_VERSION + 1, 8);
    const name = Buffer.concat([Buffer.from([formatKey.length, 0]), Buffer.from(formatKey)]);
    const mac = keys.mac('format', 0, name, object.subarray(0, -32));
    await store.remove(formatKey, signal);
    const changed = isGenuine ? Buffer.concat([object.subarray(0, -32), mac]) : object;
    await store.put(formatKey, changed, signal);
    return store;
  }

  it('is told from damage by who opens the vault', async () => {
    const newer = await ofNextVersion(true);
    const flipped = await ofNextVersion(false);

    await expect(openVault(newer)).rejects.toMatchObject({ code: 'vault.format-newer' });
    await expect(openVault(flipped)).rejects.toMatchObject({ code: 'vault.format-corrupt' });
  });

  it('is believed where nothing opens the vault, and nobody can tell', async () => {
    const store = await ofNextVersion(true);
    const unlock = { kind: 'passphrase', passphrase: 'another passphrase' } as const;
    const copying = new VaultCopy({ source: store, target: new MemoryObjectStore(), clock });

    await expect(unlockVault(store, { vault: unlock }, signal)).rejects.toMatchObject({
      code: 'vault.format-newer',
    });
    await expect(vaultIdAt(store, signal)).rejects.toMatchObject({ code: 'vault.format-newer' });
    await expect(copying.run({ signal })).rejects.toMatchObject({ code: 'vault.format-newer' });
  });

  it('is refused, whether later or from before the first release', () => {
    expect(() => {
      refuseOtherVersion(1, 'fmt/x', 1);
    }).not.toThrow();
    expect(
      faultCode(() => {
        refuseOtherVersion(2, 'fmt/x', 1);
      }),
    ).toBe('vault.format-newer');
    expect(
      faultCode(() => {
        refuseOtherVersion(0, 'fmt/x', 1);
      }),
    ).toBe('vault.format-preliminary');
  });
});
