import { SystemClock } from '../../kernel/clock.ts';
import { isFault } from '../../kernel/fault.ts';
import { VaultKeys } from './vault-keys.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import {
  diesAfterWrites,
  FaultyObjectStore,
} from '../../../test/support/vault/faulty-object-store.ts';
import { createVault, PASSPHRASE, signal } from '../../../test/support/vault/vault-lab.ts';

const SECOND = 'the second passphrase';
const RETENTION = 'only for the one who retires';
const KDF = { memoryKib: 64, passes: 1, lanes: 1 };
const WRITES_MAX = 40;

type Change = (keys: VaultKeys) => Promise<unknown>;

const keep = async (content: string): Promise<string> => Promise.resolve(content);
const CHANGES: Readonly<Record<string, Change>> = {
  'a passphrase that is added': async (keys) =>
    keys.addPassphrase({ passphrase: SECOND, label: 'anna' }, 'vault', signal),
  'a passphrase that is changed': async (keys) => keys.changePassphrase(SECOND, signal),
  'a new recovery file': async (keys) => keys.newRecoveryFile(keep, signal),
  'a rotation': async (keys) => keys.rotate([{ passphrase: SECOND, label: '' }], keep, signal),
  'a retention key': async (keys) =>
    keys.separateRetention({ passphrase: RETENTION, label: '' }, keep, signal),
};

/** Opens the keys with whatever opens them now. */
async function openKeys(store: ObjectStore): Promise<VaultKeys> {
  const by = (passphrase: string) => ({ kind: 'passphrase', passphrase }) as const;
  const retention = by(RETENTION);
  const ways = [PASSPHRASE, SECOND].map(by).flatMap((vault) => [{ vault, retention }, { vault }]);
  for (const unlocks of ways) {
    const keys = await orNone(
      VaultKeys.open(store, unlocks, { clock: new SystemClock(), kdf: KDF }, signal),
    );
    if (keys !== undefined) {
      return keys;
    }
  }
  throw new Error('nothing opens the vault');
}

async function orNone<T>(opening: Promise<T>): Promise<T | undefined> {
  return opening.catch((error: unknown) => {
    if (isFault(error)) {
      return undefined;
    }
    throw error;
  });
}

/**
 * Returns what opens the vault after a change that was killed after some writes and then repeated.
 */
async function keysAfter(
  change: Change,
  writes: number,
): Promise<{ keys: string[]; died: boolean }> {
  const inner = new MemoryObjectStore();
  await createVault(inner);
  const store = new FaultyObjectStore(inner);
  const opened = await openKeys(store);
  store.follow(diesAfterWrites(writes));
  let died = false;
  try {
    await change(opened);
  } catch {
    died = true;
  }
  await change(await openKeys(inner));
  const entries = await (await openKeys(inner)).list(signal);
  const keys = entries.map(({ kind, purpose, label }) => `${kind} ${purpose} ${label}`);
  return { keys: keys.toSorted(), died };
}

describe('no key object is left over', () => {
  it.each(Object.entries(CHANGES))('by %s, wherever it was killed', async (_, change) => {
    const { keys: expected } = await keysAfter(change, WRITES_MAX);
    for (let writes = 0, died = true; died && writes < WRITES_MAX; writes++) {
      const after = await keysAfter(change, writes);
      expect({ writes, keys: after.keys }).toEqual({ writes, keys: expected });
      died = after.died;
    }
  });

  it('when all keys are changed again and again', async () => {
    const store = new MemoryObjectStore();
    await createVault(store);
    for (let round = 0; round < 4; round++) {
      for (const change of Object.values(CHANGES)) {
        await change(await openKeys(store));
      }
    }
    const entries = await (await openKeys(store)).list(signal);

    expect(entries.map(({ kind, purpose }) => `${kind} ${purpose}`).toSorted()).toEqual([
      'passphrase retention',
      'passphrase vault',
      'recovery retention',
      'recovery vault',
    ]);
  });
});
