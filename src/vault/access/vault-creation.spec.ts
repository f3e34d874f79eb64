import { faultCodeOf } from '../../../test/support/service/fault-code.ts';
import { createVault } from '../../../test/support/vault/vault-lab.ts';
import { keysOf } from '../../../test/support/vault/vault-damage.ts';
import { PREFIXES } from '../format/object-names.ts';
import { keyObjects, readKeyObject } from './key-search.ts';
import { Vault } from '../vault.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import type { ObjectEntry, ObjectKey, ObjectStore } from '../store/object-store.ts';
import { StoreLayer } from '../store/store-layer.ts';

const signal = AbortSignal.timeout(300_000);

/** A creation's view of the place: it stops where the test says. */
class Watched extends StoreLayer {
  readonly #before: (call: string) => Promise<void>;

  constructor(store: ObjectStore, before: (call: string) => Promise<void>) {
    super(store);
    this.#before = before;
  }

  override async put(key: ObjectKey, data: Uint8Array, by: AbortSignal): Promise<void> {
    await this.#before(`put ${key.slice(0, key.indexOf('/') + 1)}`);
    await super.put(key, data, by);
  }

  override async *list(prefix: string, by: AbortSignal): AsyncIterable<ObjectEntry> {
    await this.#before(`list ${prefix}`);
    yield* super.list(prefix, by);
  }
}

interface End {
  readonly code?: string | undefined;
  readonly recoveryFile?: string;
}

async function create(store: ObjectStore): Promise<End> {
  const creation = createVault(store);
  const code = await faultCodeOf(creation);
  if (code !== undefined) {
    return { code };
  }
  const { vault, recoveryFile } = await creation;
  await vault.close();
  return { recoveryFile };
}

describe('two creations at one place', () => {
  it.each([
    { call: 'list ', time: 1 },
    { call: 'put keys/', time: 1 },
    { call: 'put keys/', time: 2 },
    { call: 'list keys/', time: 1 },
    { call: 'list fmt/', time: 1 },
    { call: 'put fmt/', time: 1 },
    { call: 'list fmt/', time: 2 },
  ])('never make two vaults: one runs before "$call", time $time, of the other', async (at) => {
    const place = new MemoryObjectStore();
    let seen = 0;
    let second: End | undefined;
    const watched = new Watched(place, async (call) => {
      seen += call === at.call ? 1 : 0;
      if (seen === at.time && second === undefined) {
        second = {};
        second = await create(place);
      }
    });

    const first = await create(watched);

    const made = [first, second ?? {}].flatMap(({ recoveryFile }) => recoveryFile ?? []);
    const codes = [first, second ?? {}].flatMap(({ code }) => code ?? []);
    expect(made.length + codes.length).toBe(2);
    expect(made.length).toBeLessThanOrEqual(1);
    expect(codes.every((code) => /^vault[.](created-twice|not-empty)$/.test(code))).toBe(true);
    expect(await keysOf(place, PREFIXES.format)).toHaveLength(made.length);
    for (const content of made) {
      const unlock = { kind: 'recovery-file', content } as const;
      await (await Vault.open(place, unlock, { workers: 0 }, signal)).close();
    }
  });

  it('that see each other take everything back, and say so', async () => {
    const place = new MemoryObjectStore();
    const both = Promise.withResolvers<undefined>();
    let waiting = 0;
    const meet = async (made: string): Promise<void> => {
      if (made === 'put fmt/') {
        waiting += 1;
        if (waiting === 2) {
          both.resolve(undefined);
        }
        await both.promise;
      }
    };

    // The store shows the other's keys late, so both creations go on after they looked.
    class Blind extends Watched {
      override async *list(prefix: string, by: AbortSignal): AsyncIterable<ObjectEntry> {
        if (waiting === 2 || prefix === '') {
          yield* super.list(prefix, by);
        }
      }
    }
    const codes = await Promise.all(
      [1, 2].map(async () => faultCodeOf(createVault(new Blind(place, meet)))),
    );

    expect(codes).toContain('vault.created-twice');
    expect((await keysOf(place, PREFIXES.format)).length).toBeLessThanOrEqual(1);
  });
});

describe('the passphrase of a new vault', () => {
  it('costs who guesses 64 MiB and three passes each time, unless a test asks for less', async () => {
    const place = new MemoryObjectStore();
    const { vault } = await Vault.create(
      place,
      { name: 'dear', passphrase: 'a passphrase that costs', workers: 0 },
      signal,
    );
    await vault.close();

    const objects = await Promise.all(
      (await keyObjects(place, signal)).map(async (key) => readKeyObject(place, key, signal)),
    );

    expect(objects).toContainEqual(
      expect.objectContaining({
        kind: 'passphrase',
        kdf: expect.objectContaining({ memoryKib: 65_536, passes: 3, lanes: 4 }) as unknown,
      }),
    );
  });
});
