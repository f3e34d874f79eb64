import { parsePackKey, PREFIXES } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import type { PackProof } from './proof-ledger.ts';

/** Limits of a scrub; undefined means no limit. */
export interface ScrubBudget {
  readonly bytes?: number | undefined;
  readonly requests?: number;
  /** Share of the vault, 0 to 1; used instead of bytes. */
  readonly share?: number | undefined;
}

/** Default: a daily scrub reads the whole vault once in this many days. */
const DAYS = 30;

export interface ScrubTurn {
  readonly key: ObjectKey;
  readonly bytes: number;
}

export interface ScrubQueue {
  /** All packs, in the order in which they are due. */
  readonly turns: readonly ScrubTurn[];
  readonly totalBytes: number;
  /** Packs in the ledger that are no longer in the vault. */
  readonly gone: readonly ObjectKey[];
}

/** Orders packs: first those never checked, then those checked longest ago. */
export async function scrubQueue(
  store: ObjectStore,
  proofs: ReadonlyMap<ObjectKey, PackProof>,
  signal: AbortSignal,
): Promise<ScrubQueue> {
  const turns: ScrubTurn[] = [];
  let totalBytes = 0;
  for (const prefix of [PREFIXES.metadata, PREFIXES.data]) {
    for await (const { key, size } of store.list(prefix, signal)) {
      if (parsePackKey(key) !== undefined) {
        turns.push({ key, bytes: size });
        totalBytes += size;
      }
    }
  }
  const checkedAtMs = ({ key }: ScrubTurn): number => proofs.get(key)?.checkedAtMs ?? -Infinity;
  // The sort is stable: among equals, metadata and older packs come first.
  turns.sort((a, b) => {
    const [first, second] = [checkedAtMs(a), checkedAtMs(b)];
    return first === second ? 0 : first - second;
  });
  const present = new Set(turns.map(({ key }) => key));
  return { turns, totalBytes, gone: [...proofs.keys()].filter((key) => !present.has(key)) };
}

/** Returns how many bytes a scrub may read; without a budget, a day's share of the vault. */
export function bytesToScrub(budget: ScrubBudget | undefined, totalBytes: number): number {
  const { bytes, share } = budget ?? { share: 1 / DAYS };
  if (share === undefined) {
    return bytes ?? Infinity;
  }
  // Checking packs reads a little more than their bytes, so the whole vault must not be a number of
  // bytes.
  return share < 1 ? Math.ceil(totalBytes * share) : Infinity;
}
