import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { SystemClock } from '../../kernel/clock.ts';
import type { ObjectEntry, ObjectRange } from '../store/object-store.ts';
import { DirectoryObjectStore } from '../object-stores/folder/directory.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { CHECKS, type CheckName } from './capabilities.ts';
import { probeStore } from './store-probe.ts';

const options = { clock: new SystemClock(), largeBytes: 300_000 };

/** Shows an object only after the next put. */
class LaggingStore extends MemoryObjectStore {
  #shown: ObjectEntry[] = [];

  override async put(key: string, data: Uint8Array): Promise<void> {
    this.#shown = await Array.fromAsync(super.list('', signal));
    await super.put(key, data, signal);
  }

  override async *list(prefix: string): AsyncIterable<ObjectEntry> {
    yield* this.#shown.filter(({ key }) => key.startsWith(prefix));
  }
}

/** Remembers that an object was not there. */
class CachingStore extends MemoryObjectStore {
  readonly #absent = new Set<string>();

  override async get(key: string): Promise<Uint8Array | undefined> {
    const object = this.#absent.has(key) ? undefined : await super.get(key, signal);
    if (object === undefined) {
      this.#absent.add(key);
    }
    return object;
  }
}

/** Answers a suffix with the whole object. */
class SloppyStore extends MemoryObjectStore {
  override async getRange(
    key: string,
    range: ObjectRange,
  ): ReturnType<MemoryObjectStore['getRange']> {
    const part = await super.getRange(key, range, signal);
    const data = await super.get(key, signal);
    return part && data && 'suffix' in range ? { ...part, data } : part;
  }
}

/** Lists by words instead of bytes, and loses a key. */
class UnorderedStore extends MemoryObjectStore {
  override async *list(prefix: string): AsyncIterable<ObjectEntry> {
    const entries = await Array.fromAsync(super.list(prefix, signal));
    yield* entries.sort((a, b) => a.key.localeCompare(b.key));
  }
}

async function failing(store: MemoryObjectStore): Promise<string[]> {
  const { findings } = await probeStore(store, options, signal);
  const names = Object.keys(CHECKS) as CheckName[];
  return names.filter(
    (name) => CHECKS[name].neededBy !== 'nobody' && findings[name]?.verdict !== 'yes',
  );
}

const PLAIN = ['versions', 'lock-governance', 'lock-compliance'];

describe('trying what a store can do', () => {
  it('finds all that a vault needs in memory and in a folder, and leaves nothing', async () => {
    const memory = new MemoryObjectStore();
    expect(await failing(memory)).toEqual(PLAIN);
    expect(await Array.fromAsync(memory.list('', signal))).toEqual([]);

    const folder = await mkdtemp(join(tmpdir(), 'hk-probe-'));
    try {
      const store = new DirectoryObjectStore(folder);
      const { findings, leftovers } = await probeStore(store, options, signal);
      expect(leftovers).toBe(0);
      expect(findings['list-order']).toEqual({ verdict: 'yes' });
      expect(findings['hash-refused']).toMatchObject({ verdict: 'no' });
      expect(await Array.fromAsync(store.list('', signal))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('finds what is wrong', async () => {
    expect(await failing(new LaggingStore())).toContain('list-after-put');
    expect(await failing(new CachingStore())).toContain('read-after-put');
    expect(await failing(new SloppyStore())).toContain('ranges');
    expect(await failing(new UnorderedStore())).toContain('list-order');
  });
});

describe('creating a vault', () => {
  const probe = { largeBytes: 100_000 };

  it('keeps what the store was seen to do', async () => {
    const { vault } = await createVault(new MemoryObjectStore(), { probe });

    const known = await vault.capabilities(signal);

    expect(known?.findings['put-get']).toEqual({ verdict: 'yes' });
    const again = await vault.probe(probe, signal);
    expect(await vault.capabilities(signal)).toEqual(again);
  });

  it('is refused on a store that cannot do what is needed', async () => {
    const unfit = { code: 'vault.store-unfit' };
    const sloppy = new SloppyStore();
    await expect(createVault(sloppy, { probe, singleWriter: true })).rejects.toMatchObject(unfit);
    expect(await Array.fromAsync(sloppy.list('', signal))).toEqual([]);
    await expect(createVault(new CachingStore(), { probe })).rejects.toMatchObject(unfit);
    await expect(
      createVault(new MemoryObjectStore(), { probe, lock: { mode: 'compliance', days: 30 } }),
    ).rejects.toMatchObject(unfit);
  });
});
