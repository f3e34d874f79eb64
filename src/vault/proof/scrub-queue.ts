import { parsePackKey, PREFIXES } from '../layout.ts';
import type { ObjectKey, ObjectStore } from '../object-store.ts';
import type { PackProof } from './proof-ledger.ts';

/** What a scrub may cost; undefined is no limit. */
export interface ScrubBudget {
  readonly bytes?: number | undefined;
  readonly requests?: number;
  /** Of the vault, from 0 to 1; instead of bytes. */
  readonly share?: number | undefined;
}

/** By default the whole vault is looked at once in so many days, if a scrub runs every day. */
const DAYS = 30;

export interface ScrubTurn {
  readonly key: ObjectKey;
  readonly bytes: number;
}

export interface ScrubQueue {
  /** All packs, in the order in which they are due. */
  readonly turns: readonly ScrubTurn[];
  readonly totalBytes: number;
  /** Packs of the ledger that are in the vault no more. */
  readonly gone: readonly ObjectKey[];
}

/** Never checked comes first, then what was checked longest ago. */
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
  // Stable: among equals metadata comes first, then what is older in the vault.
  turns.sort((a, b) => {
    const [first, second] = [checkedAtMs(a), checkedAtMs(b)];
    return first === second ? 0 : first - second;
  });
  const present = new Set(turns.map(({ key }) => key));
  return { turns, totalBytes, gone: [...proofs.keys()].filter((key) => !present.has(key)) };
}

/** Bytes that a scrub may read; without a budget a day's share of the vault. */
export function bytesToScrub(budget: ScrubBudget | undefined, totalBytes: number): number {
  const { bytes, share } = budget ?? { share: 1 / DAYS };
  if (share === undefined) {
    return bytes ?? Infinity;
  }
  // What is read to check packs is a little more than they are: the whole vault is every pack, not
  // so many bytes.
  return share < 1 ? Math.ceil(totalBytes * share) : Infinity;
}
