import { Fault, integrityOrThrow } from '../../../kernel/fault.ts';
import type { CollectParts } from '../collect-options.ts';
import { Marking } from './marking.ts';
import { totalSize, type PackListing } from '../rewriting/pack-listing.ts';
import { readRoot } from './root-points.ts';
import type { MarkedRoots } from './root-marking.ts';
import type { MapNodes } from '../../maps/map-tree.ts';
import type { SlotSet } from '../../slots/slot-set.ts';
import { ulidTimeMs, type Ulid } from '../../bytes/ulid.ts';
import { ABSENCE } from './absence-rules.ts';

export interface UnexplainedQuestion {
  readonly parts: CollectParts;
  readonly nodes: MapNodes;
  readonly packs: PackListing;
  readonly marked: MarkedRoots;
  /** Packs with a younger name are left alone anyway. */
  readonly youngMs: number;
  /** Returns what was condemned before. */
  readonly condemned: () => Promise<SlotSet>;
  readonly signal: AbortSignal;
}

/**
 * Requires that most of a vault's bytes are needed by a point, were needed by one that was given
 * up, or were condemned before. Otherwise points may be missing of which there is no other sign.
 * @throws Fault `vault.collect-unproven`
 */
export async function requireExplained(question: UnexplainedQuestion): Promise<void> {
  const { packs, marked } = question;
  if (packs.size === 0) {
    return;
  }
  const isEmpty = marked.listing.roots.length + marked.listing.dead.length === 0;
  const { unneeded, totalBytes } = unneededPacks(question);
  if (!isEmpty && !isTooMuch(unneeded, totalBytes)) {
    return;
  }
  const condemned = await question.condemned();
  const fresh = new Map([...unneeded].filter(([ulid]) => !condemned.touches(ulid)));
  if (isEmpty) {
    const all = [...packs.values()];
    if (all.some(({ ulid }) => !condemned.touches(ulid))) {
      const bytes = all.reduce((sum, { objects }) => sum + totalSize(objects), 0);
      throw unproven(
        `the vault has ${String(packs.size)} packs (${String(bytes)} bytes) and not one recovery point is listed`,
        { packs: packs.size, bytes },
      );
    }
    return;
  }
  if (isTooMuch(fresh, totalBytes)) {
    await withoutThoseOfTheDead(question, fresh);
  }
  if (isTooMuch(fresh, totalBytes)) {
    const bytes = sumOf(fresh);
    const percent = Math.round((bytes / totalBytes) * 100);
    throw unproven(
      `${String(percent)} % of the bytes in packs are needed by no recovery point, and no point that was given up explains it`,
      { packs: fresh.size, bytes },
    );
  }
}

/** Returns the unneeded packs with their sizes, without young packs. */
function unneededPacks({ parts, packs, marked, youngMs }: UnexplainedQuestion): {
  unneeded: Map<Ulid, number>;
  totalBytes: number;
} {
  const { live } = marked.marking;
  const youngFromMs = parts.clock.nowMs() - youngMs;
  const unneeded = new Map<Ulid, number>();
  let totalBytes = 0;
  for (const { ulid, objects } of packs.values()) {
    if (!live.isInShare(ulid) || ulidTimeMs(ulid) > youngFromMs) {
      continue;
    }
    const size = totalSize(objects);
    totalBytes += size;
    const handle = live.handle(ulid);
    if (live.isEmpty(handle) && !live.isFull(handle)) {
      unneeded.set(ulid, size);
    }
  }
  return { unneeded, totalBytes };
}

/**
 * Removes from `unneeded` what points that were given up need. A point that cannot be read explains
 * nothing.
 */
async function withoutThoseOfTheDead(
  { parts, nodes, marked, signal }: UnexplainedQuestion,
  unneeded: Map<Ulid, number>,
): Promise<void> {
  const marking = new Marking(nodes, nodes.packs.aliases, signal);
  for (const point of marked.dead) {
    try {
      const document = await readRoot(parts, point, signal);
      if (document !== undefined) {
        await marking.point(document);
      }
    } catch (error) {
      integrityOrThrow(error);
    }
  }
  for (const ulid of unneeded.keys()) {
    const handle = marking.live.handle(ulid);
    if (!marking.live.isEmpty(handle) || marking.live.isFull(handle)) {
      unneeded.delete(ulid);
    }
  }
}

function isTooMuch(packs: ReadonlyMap<Ulid, number>, totalBytes: number): boolean {
  return sumOf(packs) > totalBytes * ABSENCE.unexplainedShareMax;
}

function sumOf(packs: ReadonlyMap<Ulid, number>): number {
  return [...packs.values()].reduce((sum, size) => sum + size, 0);
}

function unproven(why: string, details: Record<string, number>): Fault {
  return new Fault(
    'vault.collect-unproven',
    `Nothing was removed: ${why}. Look whether all points that should be there are listed; if they are, repeat with --all-points-are-listed.`,
    details,
  );
}
