import { randomBytes } from 'node:crypto';
import { backUp, createVault, signal, VM } from '../../../test/support/vault/vault-lab.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SilentLog } from '../../kernel/log.ts';
import { encodeControl } from '../control/control-object.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { retireKey, sealKey } from '../format/object-names.ts';
import { newestPoint } from './newest-point.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { PackNumbers } from '../packs/pack-numbers.ts';
import { PointStore } from './point-store.ts';
import { encodeRetired } from './retirements.ts';
import { RetentionKey } from '../keys/retention-key.ts';
import { encodeSigned } from '../control/signed-object.ts';

/** Makes a vault with one sealed point, opened with and without the retention key. */
async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(100_000);
  disk.write(0, seededBytes('retire', 50_000));
  const point = await backUp(vault, disk);
  const vaultId = Buffer.from(vault.id, 'hex');
  const keys = new KeyTree(vault.exportKey(), vaultId);
  const retention = RetentionKey.ofPublicKey(keys.retention.publicKey);
  const hostKeys = new KeyTree(vault.exportKey(), vaultId, { retention });
  const points = (of: KeyTree): PointStore => {
    const context = { vaultId, chunkId: 'blake3' } as const;
    return new PointStore(
      { store, keys: of, context, numbers: new PackNumbers() },
      new SilentLog(),
    );
  };
  const name = { vmId: VM.vmId, id: point.id };
  return { store, name, keys, hostKeys, points, vault };
}

function body(id: string): Buffer {
  return Buffer.from(JSON.stringify({ point: id, atMs: 1 }));
}

describe('retiring a point', () => {
  it('holds for everybody once who has the retention key did it', async () => {
    const { name, keys, hostKeys, points } = await setUp();

    await points(keys).retire(name, 1, signal);

    expect(await points(hostKeys).standing(name, signal)).toBe('retired');
    expect(await points(hostKeys).retired(signal)).toEqual(new Set([name.id]));
    expect(await points(hostKeys).list(signal)).toEqual([]);
  });

  it('is refused to who only has the master key', async () => {
    const { store, name, hostKeys, points } = await setUp();

    await expect(points(hostKeys).retire(name, 1, signal)).rejects.toMatchObject({
      code: 'vault.retention-key-missing',
    });

    expect(await Array.fromAsync(store.list('retire/', signal))).toEqual([]);
  });

  it('does not hold when it is forged; the point is shown, and nothing is built on it', async () => {
    const { store, name, keys, points } = await setUp();
    const key = retireKey(name.vmId, name.id);
    const other = new KeyTree(keys.keyring, keys.vaultId, {
      retention: RetentionKey.ofSeed(randomBytes(32)),
    });
    const elsewhere = `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`;
    const signedElsewhere = encodeSigned(keys, 'retire', elsewhere, body(name.id));
    const forged = [
      Buffer.from('x'),
      encodeControl(keys, 'retire', key, body(name.id)),
      encodeControl(keys, 'retire', key, Buffer.alloc(0)),
      encodeSigned(other, 'retire', key, body(name.id)),
      signedElsewhere,
      encodeSigned(keys, 'retire', key, body('01ARZ3NDEKTSV4RRFFQ69G5FAV')),
    ];
    for (const object of forged) {
      await store.put(key, object, signal);

      expect(await points(keys).standing(name, signal)).toBe('doubtful');
      expect(await points(keys).isRetired(name, signal)).toBe(false);
      expect(await points(keys).list(signal)).toHaveLength(1);
      const { parent } = await newestPoint(points(keys), name.vmId, signal);
      expect(parent).toBeUndefined();
    }
  });

  it('by an earlier key holds only if it is on the list of when the key was replaced', async () => {
    const { store, name, keys, points } = await setUp();
    await points(keys).retire(name, 1, signal);
    const seed = randomBytes(32);
    const earlier = [keys.retention.publicKey];
    const confirmed = 'fmt/000002-0123456789abcdef0123456789abcdef.retired';
    const replaced = (list: string | undefined): KeyTree => {
      const retention = RetentionKey.ofSeed(seed, { earlier, confirmed: list });
      return new KeyTree(keys.keyring, keys.vaultId, { retention });
    };
    const list = encodeSigned(
      replaced(confirmed),
      'retired-list',
      confirmed,
      encodeRetired([name]),
    );

    expect(await points(replaced(undefined)).standing(name, signal)).toBe('doubtful');
    await expect(points(replaced(confirmed)).standing(name, signal)).rejects.toMatchObject({
      code: 'vault.control-corrupt',
    });

    await store.put(confirmed, list, signal);
    expect(await points(replaced(confirmed)).standing(name, signal)).toBe('retired');
  });
});

describe('asking to retire a point', () => {
  // G0.i.
  it('does nothing until who has the retention key answers, and then for unsealed points only', async () => {
    const { store, name, keys, hostKeys, points } = await setUp();
    await points(hostKeys).giveUp(name, 1, signal);
    expect(await points(keys).standing(name, signal)).toBe('stands');

    expect(await points(keys).answerRequests(2, signal)).toEqual([]);
    expect(await points(keys).standing(name, signal)).toBe('stands');

    await store.remove(sealKey(name.vmId, name.id), signal);
    await expect(points(hostKeys).answerRequests(2, signal)).rejects.toMatchObject({
      code: 'vault.retention-key-missing',
    });
    expect(await points(keys).answerRequests(2, signal)).toEqual([name]);
    expect(await points(hostKeys).standing(name, signal)).toBe('retired');
    expect(await points(keys).answerRequests(3, signal)).toEqual([]);
  });

  it('is ignored when the request is forged', async () => {
    const { store, name, keys, points } = await setUp();
    await store.remove(sealKey(name.vmId, name.id), signal);
    const key = `${retireKey(name.vmId, name.id)}.ask`;
    const stranger = new KeyTree(randomBytes(32), keys.vaultId);
    for (const object of [
      Buffer.from('{}'),
      encodeControl(stranger, 'retire-request', key, body(name.id)),
      encodeControl(keys, 'retire', key, body(name.id)),
    ]) {
      await store.put(key, object, signal);
      expect(await points(keys).answerRequests(2, signal)).toEqual([]);
    }
  });
});
