import { collectVault } from '../../../src/vault/collect/collector.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { World } from './world.ts';

const DAY_MS = 86_400_000;

/** Collects garbage, each time with other limits. */
export async function collect(world: World, store: ObjectStore, runs: number): Promise<void> {
  const { random, signal, ledger } = world;
  const vault = await world.open(store, 'collector');
  for (let run = 0; run < runs; run++) {
    const report = await collectVault(
      vault.inside,
      {
        youngMs: 0,
        // The lists of this store are true, and what the machines remember is not what is tried
        // here.
        allPointsAreListed: true,
        abandonedMs: random(2) === 0 ? 0 : 7 * DAY_MS,
        liveShare: random(2) === 0 ? 1 : 0.6,
        smallPackBytes: random(2) === 0 ? 64 * 1024 : 0,
        mergeCount: 2,
        ...(random(4) === 0 ? { markingBytes: 0 } : {}),
      },
      { signal },
    );
    ledger.count('collection: damaged pack met', report.damagedPacks.length);
    ledger.count('collection: pack removed', report.removedPacks);
    ledger.count('collection: pack compacted', report.compactedPacks);
    ledger.count('collection: pack merged', report.mergedPacks);
    ledger.count('collection: point given up', report.givenUpPoints.length);
    ledger.count('collection: list of a dead one carried out', report.carriedOutLists.length);
  }
}
