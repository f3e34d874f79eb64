import { Draw } from '../../../test/support/draw.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { Vault } from '../vault.ts';
import type { CollectOptions, CollectStep } from './collect-options.ts';
import { collectVault } from './collector.ts';

const draw = new Draw('collector steps');
/** Kinds of steps tried in each test, of thirteen. */
const KINDS = 4;
const SMALL = { vmId: 'small', vmName: 'small' };
const LARGE = { vmId: 'large', vmName: 'large' };
const GONE = { vmId: 'gone', vmName: 'gone' };
const PERMANENT = /^(fmt|keys|retire|gc|alias|hold)\//;
/** Tidies everything that can be tidied. */
const ALL: CollectOptions = {
  youngMs: 0,
  mergeCount: 3,
  smallPackBytes: 100_000,
  liveShare: 0.95,
  allPointsAreListed: true,
};

class Died extends Error {}

interface Scene {
  readonly store: MemoryObjectStore;
  readonly vault: Vault;
  readonly kept: { readonly point: RecoveryPoint; readonly print: string; readonly size: number }[];
  readonly goneDisk: MemoryDisk;
}

/** Made once; every test works on a copy. */
let first: Promise<Scene> | undefined;

/** Makes a vault in which a collection removes, compacts and merges. */
async function scene(): Promise<Scene> {
  const { store, kept, goneDisk } = await (first ??= build());
  const copy = new MemoryObjectStore();
  for await (const { key } of store.list('', signal)) {
    await copy.put(key, (await store.get(key, signal)) ?? new Uint8Array(), signal);
  }
  return { store: copy, vault: await openVault(copy), kept: [...kept], goneDisk };
}

async function build(): Promise<Scene> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, { parameters: { packBytes: 2 ** 20 } });
  const kept: Scene['kept'] = [];
  const large = new MemoryDisk(500_000);
  large.write(0, seededBytes('large', 450_000));
  const before = await backUp(vault, large, { vm: LARGE });
  large.write(200_000, seededBytes('changed', 250_000));
  kept.push(await take(vault, large, LARGE));
  const small = new MemoryDisk(200_000);
  for (let i = 0; i < 3; i++) {
    small.write(i * 40_000, seededBytes(`small ${i}`, 20_000));
    kept.push(await take(vault, small, SMALL));
  }
  const goneDisk = new MemoryDisk(100_000);
  goneDisk.write(0, seededBytes('gone', 90_000));
  const gone = await backUp(vault, goneDisk, { vm: GONE });
  await vault.retire(before.id, signal);
  await vault.retire(gone.id, signal);
  return { store, vault, kept, goneDisk };
}

async function take(
  vault: Vault,
  disk: MemoryDisk,
  vm: { vmId: string; vmName: string },
): Promise<Scene['kept'][number]> {
  const point = await backUp(vault, disk, { vm });
  return { point, print: await fingerprint(disk.reader()), size: disk.size };
}

async function expectWhole({ store, vault, kept }: Scene): Promise<void> {
  const fresh = await openVault(store);
  for (const { point, print, size } of kept) {
    expect((await fresh.verify(point.id, 3, { signal })).problems).toEqual([]);
    const back = await restored(vault, point, size);
    expect(await fingerprint(back.reader())).toBe(print);
  }
}

/** Gives everything up, and expects that nothing is left. */
async function expectEmptiable({ store, kept }: Scene): Promise<void> {
  const vault = await openVault(store);
  for (const { point } of kept) {
    await vault.retire(point.id, signal);
  }
  await collectVault(vault.inside, { youngMs: 0, allPointsAreListed: true }, { signal });
  await collectVault(vault.inside, { youngMs: 0, allPointsAreListed: true }, { signal });
  const left = (await Array.fromAsync(store.list('', signal))).map(({ key }) => key);
  expect(left.filter((key) => !PERMANENT.test(key))).toEqual([]);
}

async function steps(): Promise<CollectStep[]> {
  const { vault } = await scene();
  const seen: CollectStep[] = [];
  const onStep = async (step: CollectStep): Promise<void> => {
    seen.push(step);
  };
  await collectVault(vault.inside, { ...ALL, onStep }, { signal });
  return seen;
}

/** Returns where some kinds of step come first. */
async function kinds(): Promise<number[]> {
  const all = await steps();
  return draw.some([...new Set(all)], KINDS).map((step) => all.indexOf(step));
}

/** Runs a collection and does something at one of its steps. */
async function collectWith(
  { vault }: Scene,
  at: number,
  what: (step: CollectStep) => Promise<void>,
): Promise<void> {
  let count = 0;
  const onStep = async (step: CollectStep): Promise<void> => {
    if (count++ === at) {
      await what(step);
    }
  };
  try {
    await collectVault(vault.inside, { ...ALL, onStep }, { signal });
  } catch (error) {
    if (!(error instanceof Died)) {
      throw error;
    }
  }
}

describe('at each step of a collection', () => {
  it('passes all of them', async () => {
    const seen = new Set(await steps());

    const expected: CollectStep[] = [
      'listed',
      'marked',
      'condemned',
      'relisted',
      'pack-removed',
      'seal-removed',
      'point-removed',
      'generation-sent',
      'generation-removed',
      'merged-sent',
      'merged-aliased',
      'merged-removed',
      'done',
    ];
    expect([...seen].sort()).toEqual(expected.sort());
  });

  // G4.b.
  it('can die; the next one goes on, and nothing stays behind', async () => {
    for (const at of await kinds()) {
      const made = await scene();
      await collectWith(made, at, async () => {
        throw new Died();
      });
      await expectWhole(made);
      const next = await openVault(made.store);
      await collectVault(next.inside, ALL, { signal });
      await expectWhole(made);
      const lists = (await Array.fromAsync(made.store.list('gc/', signal))).map(({ key }) => key);
      expect(
        lists.filter((key) => !key.endsWith('.done') && !lists.includes(`${key}.done`)),
      ).toEqual([]);
      await expectEmptiable(made);
    }
  });

  it('another one runs from its beginning to its end', async () => {
    for (const at of await kinds()) {
      const made = await scene();
      const other = await openVault(made.store);
      await collectWith(made, at, async () => {
        await collectVault(other.inside, ALL, { signal });
      });
      await expectWhole(made);
      await expectEmptiable(made);
    }
  });

  it.each(['knows the vault', 'is new'])(
    'a host that %s backs up what is being collected, and gives up what is needed',
    async (who) => {
      for (const at of await kinds()) {
        const made = await scene();
        const knows = await openVault(made.store);
        await backUp(knows, made.goneDisk, { vm: { vmId: 'first', vmName: 'first' } }).then(
          async ({ id }) => knows.retire(id, signal),
        );
        await collectWith(made, at, async () => {
          const host = who === 'is new' ? await openVault(made.store) : knows;
          made.kept.push(await take(host, made.goneDisk, { vmId: 'again', vmName: 'again' }));
          const [given] = made.kept.splice(0, 1);
          await host.retire(given?.point.id ?? '', signal);
        });
        await expectWhole(made);
        await expectEmptiable(made);
      }
    },
  );

  it('a backup that began before it commits at that step', async () => {
    for (const at of await kinds()) {
      const made = await scene();
      const host = await openVault(made.store);
      const disk = made.goneDisk;
      let isDone = false;
      const point = await backUp(host, disk, {
        vm: { vmId: 'again', vmName: 'again' },
        beforeCommit: async () => {
          // The whole collection up to this step; it continues after the point was put and sealed.
          isDone = true;
          await new Promise<void>((resolve, reject) => {
            const stop = async (): Promise<void> => {
              resolve();
              throw new Died();
            };
            collectWith(made, at, stop).then(resolve, reject);
          });
        },
      });
      expect(isDone).toBe(true);
      made.kept.push({ point, print: await fingerprint(disk.reader()), size: disk.size });
      const next = await openVault(made.store);
      await collectVault(next.inside, ALL, { signal });
      await expectWhole(made);
    }
  });
});
