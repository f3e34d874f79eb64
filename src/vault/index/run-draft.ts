import { setImmediate } from 'node:timers/promises';
import { IndexTable } from './index-table.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import type { Spiller } from './spill.ts';

/** Entries between two turns of the event loop: about 5 ms. */
const ENTRIES_PER_TURN = 16_384;

/** Collects what a new run will hold. */
export interface RunDraft {
  readonly spiller: Spiller;
  /** By pack number of the process: the pack's number inside the run. */
  readonly packs: Map<number, number>;
}

/** Adds the slots of a pack. */
export function draftPack(draft: RunDraft, pack: number, footer: PackFooter): void {
  const own = ownNumber(draft, pack);
  for (let slot = 0; slot < footer.slots; slot++) {
    if (footer.size(slot) > 0) {
      draft.spiller.add(footer.id(slot), own, slot);
    }
  }
}

/**
 * Adds what a table has about packs that are in the vault.
 * @returns a table of the same size with the rest
 */
export async function draftTable(
  draft: RunDraft,
  table: IndexTable,
  isSent: (pack: number) => boolean,
): Promise<IndexTable> {
  const rest = IndexTable.ofCapacity(table.capacity);
  const kept = new Set<number>();
  for (let from = 0; from < table.capacity; from += ENTRIES_PER_TURN) {
    table.copyTo(rest, from, from + ENTRIES_PER_TURN, (id, { pack, slot }) => {
      // A pack that was sent meanwhile stays in the table as a whole, or it would be in both
      // places.
      if (kept.has(pack) || (!draft.packs.has(pack) && !isSent(pack))) {
        kept.add(pack);
        return true;
      }
      draft.spiller.add(new Uint8Array(id.buffer), ownNumber(draft, pack), slot);
      return false;
    });
    await setImmediate();
  }
  return rest;
}

function ownNumber({ packs }: RunDraft, pack: number): number {
  const known = packs.get(pack);
  if (known !== undefined) {
    return known;
  }
  const own = packs.size;
  packs.set(pack, own);
  return own;
}
