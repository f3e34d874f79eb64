import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { faultCodeOf } from '../../../test/support/service/fault-code.ts';
import { FaultyObjectStore } from '../../../test/support/vault/faulty-object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { backUp, createVault, openVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { SilentLog } from '../../kernel/log.ts';
import { keyClassOf } from '../format/key-classes.ts';
import { Holds } from '../points/holds.ts';
import { retirePoints } from '../retention/retiring.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { Vault } from '../vault.ts';
import { destroyObjects, findObjects, requireThisVault } from './destruction.ts';
import { hasMark, markDestroyed, refuseDestroyed } from './destruction-mark.ts';

const FOREIGN = ['notes.txt', 'd/readme', 'keys/mine', 's/a/b', 'fmt/000001'];
const log = new SilentLog();

/** A vault with two points, one given up, a hold, and things of somebody else beside it. */
async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(400_000);
  disk.write(0, seededBytes('destroy', 400_000));
  const first = await backUp(vault, disk);
  disk.write(0, seededBytes('more', 100_000));
  const second = await backUp(vault, disk);
  await retirePoints(vault.inside, [first], { signal });
  const { base, points } = vault.inside;
  const why = { reason: 'why', atMs: 1 };
  await new Holds(base, log).hold(points, second, why, signal);
  for (const key of FOREIGN) {
    await store.put(key, Buffer.from('somebody'), signal);
  }
  return { store, vault };
}

/** What the service does, in a process that may die. */
async function destroy(store: ObjectStore, vault: Vault): Promise<void> {
  await requireThisVault(store, vault.id, signal);
  const { objects } = await findObjects(store, signal);
  if (objects > 0 && !(await hasMark(store, vault.id, signal))) {
    const { keys } = vault.inside.base;
    await markDestroyed({ store, keys }, { by: 'me', atMs: 1 }, log, signal);
  }
  await destroyObjects(store, vault.id, { signal });
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('', signal)) {
    keys.push(key);
  }
  return keys;
}

describe('destroying a vault', () => {
  it('removes all that is of the vault, and nothing else', async () => {
    const { store, vault } = await setUp();
    expect(await findObjects(store, signal)).toMatchObject({
      points: 2,
      foreign: { objects: FOREIGN.length },
    });

    await destroy(store, vault);

    expect(await keysOf(store)).toEqual(FOREIGN.toSorted());
    await destroy(store, vault);
    expect(await keysOf(store)).toEqual(FOREIGN.toSorted());
  });

  it('goes on after a death at any request, and until then nobody takes what is left for a vault', async () => {
    let deaths = 0;
    for (let at = 0; ; at += 1) {
      const { store, vault } = await setUp();
      const whole = (await keysOf(store)).filter((key) => keyClassOf(key) !== undefined);
      const faulty = new FaultyObjectStore(store, ({ index }) =>
        index === at ? 'dies' : undefined,
      );
      const died = await destroy(faulty, vault).then(
        () => false,
        () => true,
      );
      if (!died) {
        break;
      }
      deaths += 1;
      const left = (await keysOf(store)).filter((key) => keyClassOf(key) !== undefined);
      if (left.length < whole.length) {
        const code = await faultCodeOf(opened(store));
        expect([at, code]).toEqual([
          at,
          expect.stringMatching(/^vault[.](not-found|being-destroyed)$/),
        ]);
      }
      await destroy(store, vault);
      expect(await keysOf(store)).toEqual(FOREIGN.toSorted());
    }
    expect(deaths).toBeGreaterThan(20);
  });

  it('leaves its mark where credentials may not remove everything', async () => {
    const { store, vault } = await setUp();
    const may = /^(?:d|m|s|x|cat)\//;
    const faulty = new FaultyObjectStore(store, ({ kind, key }) =>
      kind === 'remove' && !may.test(key) ? 'denied' : undefined,
    );
    await destroy(faulty, vault);

    const left = await findObjects(store, signal);
    expect(Object.keys(left.classes).sort()).toEqual(['cat/', 'fmt/', 'hold/', 'keys/', 'retire/']);
    expect(await faultCodeOf(opened(store))).toBe('vault.being-destroyed');
    await destroy(store, vault);
    expect(await keysOf(store)).toEqual(FOREIGN.toSorted());
  });

  it('refuses another vault at the place, and objects of which nobody knows whose they are', async () => {
    const { vault } = await setUp();
    const other = new MemoryObjectStore();
    await createVault(other);
    const before = await keysOf(other);
    expect(await faultCodeOf(destroy(other, vault))).toBe('vault.not-found');

    for (const key of before.filter((each) => each.startsWith('fmt/'))) {
      await other.remove(key, signal);
    }
    expect(await faultCodeOf(destroy(other, vault))).toBe('vault.not-found');
    expect(await keysOf(other)).toEqual(before.filter((each) => !each.startsWith('fmt/')));
  });
});

/** Opens a vault as every program does. */
async function opened(store: ObjectStore): Promise<void> {
  const { inside } = await openVault(store);
  await refuseDestroyed(inside.base, log, signal);
}
