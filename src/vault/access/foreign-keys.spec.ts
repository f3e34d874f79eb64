import { createHash, randomBytes } from 'node:crypto';
import {
  createVault,
  openVault,
  PASSPHRASE,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { ByteWriter } from '../bytes/binary.ts';
import { wrapWithPassphrase, wrapWithRecovery, type KdfCost } from '../keys/key-object.ts';
import { VaultKeys } from './vault-keys.ts';
import { numberedKey, PREFIXES } from '../format/object-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';
import { Vault } from '../vault.ts';

describe('key objects that somebody else put', () => {
  const COST = { memoryKib: 64, passes: 1, lanes: 1 };

  async function strangers(
    store: ObjectStore,
    vaultId: string,
    put: {
      readonly count: number;
      readonly kind: 'passphrase' | 'recovery';
      readonly cost?: KdfCost;
    },
  ): Promise<void> {
    const wrapping = {
      vaultId: Buffer.from(vaultId, 'hex'),
      purpose: 'vault',
      secret: randomBytes(32),
      label: '',
      createdAtMs: 0,
    } as const;
    for (let index = 0; index < put.count; index += 1) {
      const key = numberedKey(PREFIXES.keys, 900_000 + index);
      const object =
        put.kind === 'recovery'
          ? wrapWithRecovery(key, wrapping, randomBytes(32))
          : await wrapWithPassphrase(key, wrapping, 'of a stranger', put.cost ?? COST);
      await store.put(key, object, signal);
    }
  }

  it('lock nobody out while they cost nothing', async () => {
    const store = new MemoryObjectStore();
    const { vault, recoveryFile } = await createVault(store);
    await strangers(store, vault.id, { count: 40, kind: 'recovery' });

    expect((await openVault(store)).id).toBe(vault.id);
    const byFile = await Vault.open(
      store,
      { kind: 'recovery-file', content: recoveryFile },
      { workers: 0 },
      signal,
    );
    expect(byFile.id).toBe(vault.id);
  });

  it('are told apart from a wrong passphrase, and the own one can be named', async () => {
    const store = new MemoryObjectStore();
    const { vault, recoveryFile } = await createVault(store);
    const unlocks = { vault: { kind: 'passphrase', passphrase: PASSPHRASE } } as const;
    const options = { clock: new SystemClock(), kdf: COST };
    const all = await (await VaultKeys.open(store, unlocks, options, signal)).list(signal);
    const own = all.find(({ kind }) => kind === 'passphrase');
    await strangers(store, vault.id, { count: 33, kind: 'passphrase' });

    await expect(openVault(store)).rejects.toMatchObject({
      code: 'vault.wrong-passphrase',
      message: expect.stringContaining('32 key objects') as unknown,
      context: { tried: 32, left: 2 },
    });
    const open = (unlock: VaultUnlock): Promise<Vault> =>
      Vault.open(store, unlock, { workers: 0 }, signal);
    const named = { kind: 'passphrase', passphrase: PASSPHRASE, keyId: own?.id } as const;
    expect((await open(named)).id).toBe(vault.id);
    expect((await open({ kind: 'recovery-file', content: recoveryFile })).id).toBe(vault.id);
    await expect(open({ ...named, keyId: '123' })).rejects.toMatchObject({
      code: 'vault.key-not-found',
    });
  });

  it('wait until all others were tried when they are dear', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    // Trying one of them would take a GiB of memory and a minute.
    const dear = { memoryKib: 1_048_576, passes: 64, lanes: 1 };
    const key = numberedKey(PREFIXES.keys, 900_000);
    const facts = {
      kind: 'passphrase',
      vaultId: vault.id,
      kdf: { name: 'argon2id', ...dear, salt: '00'.repeat(16) },
      wrapped: '00'.repeat(48),
    };
    const json = Buffer.from(JSON.stringify(facts));
    const head = new ByteWriter(12 + json.length + 32)
      .bytes(Buffer.from('HKKEYS00'))
      .u32(json.length)
      .bytes(json);
    const sum = createHash('sha256').update(head.finish()).digest();
    await store.put(key, head.bytes(sum).finish(), signal);

    expect((await openVault(store)).id).toBe(vault.id);
  });
});
