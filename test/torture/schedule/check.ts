import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { forgePack, otherContent } from '../../proof/forgery.ts';
import { MemoryObjectStore } from '../../support/vault/memory-object-store.ts';
import { describe, expectRestored } from './reader.ts';
import type { World } from './world.ts';

/** A fresh reader finds every point that was promised, and every point that it finds is whole. */
export async function check(world: World, store: ObjectStore, when: string): Promise<void> {
  const { ledger, signal } = world;
  const vault = await world.open(store, 'other');
  if (world.mutant === 'wrong-chunk') {
    await forgeAll(world, vault);
  }
  const found = await vault.points(signal);
  const ids = new Set(found.map(({ id }) => id));
  for (const { id } of ledger.kept) {
    if (!ids.has(id)) {
      ledger.problem(`${id} ${when}: its success was reported, and it is not there`);
    }
  }
  for (const point of found) {
    const image = ledger.imageOf(point);
    if (image !== undefined) {
      const before = ledger.problems.length;
      try {
        await expectRestored(world, vault, { id: point.id, image }, when);
      } catch (error) {
        ledger.problem(`${point.id} ${when}: ${describe(error)}`);
      }
      const isRestored = ledger.problems.length === before;
      await expectVerified(world, vault, point.id, { when, isRestored });
    }
  }
}

/** Expects that verify at its deepest and a restore agree. */
async function expectVerified(
  { ledger, signal }: World,
  vault: Vault,
  id: string,
  { when, isRestored }: { readonly when: string; readonly isRestored: boolean },
): Promise<void> {
  const { ok, level, problems } = await vault.verify(id, 3, { signal });
  if (level !== 3) {
    ledger.problem(`${id} ${when}: verify reached level ${String(level)} only`);
  }
  if (!ok) {
    const said = problems.map(({ code }) => code).join(', ');
    ledger.problem(`${id} ${when}: verify finds ${said}`);
  }
  if (ok && !isRestored) {
    ledger.problem(`${id} ${when}: verify finds nothing in what cannot be restored`);
  }
  ledger.count('point verified');
}

/** Other content under the same ids in every data pack, as somebody with the key could write it. */
async function forgeAll({ scheduler: { bucket }, signal }: World, vault: Vault): Promise<void> {
  for (const { key } of bucket.page('d/', '', Infinity)) {
    const scratch = new MemoryObjectStore();
    const object = bucket.get(key);
    if (object !== undefined) {
      await scratch.put(key, object, signal);
      await forgePack(vault, scratch, key, { forge: otherContent() });
      bucket.spoil(key, (await scratch.get(key, signal)) ?? object);
    }
  }
}
