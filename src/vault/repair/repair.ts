import type { FooterCache } from '../packs/footer-cache.ts';
import { FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { Packs } from '../packs/packs.ts';
import { writeHealed } from '../damage/damage-list.ts';
import { DamagedSlots, type DamageList } from '../damage/damaged-slots.ts';
import { numbersOf } from '../checks/lost-slots.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { VaultInside } from '../vault-inside.ts';
import type { Running } from '../../kernel/progress.ts';
import { repairObjects, type ObjectRepair } from './object-repair.ts';
import { PackRepairer, type PackRepair } from './pack-repair.ts';
import { findSuspects } from '../checks/suspects.ts';

export interface RepairOptions {
  /** Another place with the same vault. */
  readonly copy?: ObjectStore;
  /** Writes nothing; the report says what would be written. */
  readonly dryRun: boolean;
  /**
   * Overwrites small damaged objects (points, seals, lists) with the copy's bytes. The damaged
   * bytes are then lost, unless the store keeps old versions under lock. Without this they are only
   * reported.
   */
  readonly overwrite?: boolean;
  /** Packs that were found damaged, besides those listed in `bad/`. */
  readonly suspects?: Iterable<ObjectKey>;
}

export interface RepairReport {
  readonly dryRun: boolean;
  readonly objects: readonly ObjectRepair[];
  readonly packs: readonly PackRepair[];
  readonly writtenBytes: number;
  /** How many lists under `bad/` got a note that slots are readable again. */
  readonly healedLists: number;
  /** Points whose map cannot be walked here or in the copy, so that what they need is not known. */
  readonly unreadablePoints: readonly string[];
}

/**
 * Heals a vault: missing objects come from the copy under their own keys, and damaged packs are
 * rewritten as new generations from all that can still be read. It can be stopped and run again at
 * any time.
 */
export async function repairVault(
  inside: VaultInside,
  options: RepairOptions,
  running: Running,
): Promise<RepairReport> {
  const { base, pool, log, cache } = inside;
  const { copy, dryRun } = options;
  const { signal } = running;
  const objects =
    copy === undefined
      ? []
      : await repairObjects(
          inside,
          copy,
          { apply: !dryRun, overwrite: options.overwrite === true },
          signal,
        );
  const damaged = new DamagedSlots(base, log);
  await damaged.read(signal);
  const { suspects, unreadablePoints } = await findSuspects(
    inside,
    { damaged, ...options },
    signal,
  );
  const place = (store: ObjectStore, own?: FooterCache) => ({
    fetcher: new FrameFetcher(new Packs({ ...base, store }), pool, true),
    ...(own === undefined ? {} : { cache: own }),
  });
  const repairer = new PackRepairer({
    vault: place(base.store, cache),
    ...(copy === undefined ? {} : { copy: place(copy) }),
    apply: !dryRun,
  });
  const packs: PackRepair[] = [];
  for (const pack of suspects.values()) {
    signal.throwIfAborted();
    packs.push(await repairer.repair(pack, signal));
    running.report?.({
      phase: 'repairing',
      doneBytes: packs.length,
      totalBytes: suspects.size,
      counted: 'packs',
    });
  }
  const healed = healedOf(damaged, packs);
  if (!dryRun) {
    for (const [list, slots] of healed) {
      await writeHealed(base, list, slots, signal);
    }
  }
  const writtenBytes = packs.reduce((sum, { bytes }) => sum + bytes, 0);
  const healedLists = healed.size;
  return { dryRun, objects, packs, writtenBytes, healedLists, unreadablePoints };
}

/** Returns the slots that are readable again, by damage list, without those already noted. */
function healedOf(damaged: DamagedSlots, packs: readonly PackRepair[]): Map<ObjectKey, SlotSet> {
  const healed = new Map<ObjectKey, SlotSet>();
  for (const list of damaged.lists) {
    const now = new SlotSet();
    for (const repair of packs) {
      addHealed(now, list, repair);
    }
    if (!now.isEmpty) {
      healed.set(list.key, now);
    }
  }
  return healed;
}

function addHealed(now: SlotSet, { slots, healed }: DamageList, repair: PackRepair): void {
  const { pack, readable, lostSlots } = repair;
  const ranges = slots.of(pack);
  if (ranges === 'all') {
    if (lostSlots === 0 && !healed.hasAll(pack)) {
      now.add(pack, 'all');
    }
    return;
  }
  const again = [...numbersOf(ranges ?? [])].filter(
    (slot) => readable.has(slot) && !healed.has(pack, slot),
  );
  now.add(
    pack,
    again.map((slot) => ({ first: slot, count: 1 })),
  );
}
