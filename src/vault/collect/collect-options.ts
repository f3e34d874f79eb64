import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import type { VaultFormat } from '../format-object.ts';
import type { FooterCache } from '../footer-cache.ts';
import type { ObjectKey } from '../object-store.ts';
import type { VaultBase } from '../packs.ts';
import type { PointName } from '../retirements.ts';
import type { PointStore } from '../point-store.ts';
import type { Ulid } from '../ulid.ts';
import type { WorkerPool } from '../worker-pool.ts';

/** What marking needs of a vault: `Vault.inside` has it all. */
export interface CollectParts {
  readonly base: VaultBase;
  readonly format: VaultFormat;
  readonly points: PointStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly cache?: FooterCache;
}

/** The same, for who also removes: ids of what is kept instead are computed. */
export interface RemovingParts extends CollectParts {
  readonly pool: WorkerPool;
}

/** Where a collection can be when its process dies; `onStep` is awaited there. */
export type CollectStep =
  | 'listed' // G0: packs were listed
  | 'marked' // G0: what is needed is known
  | 'condemned' // G1
  | 'waited'
  | 'relisted' // G2
  | 'pack-removed' // G3, each
  | 'seal-removed'
  | 'point-removed'
  | 'generation-sent' // compaction: the new generation is there, the old one too
  | 'generation-removed'
  | 'merged-sent' // merge: the new pack is there, no alias yet
  | 'merged-aliased'
  | 'merged-removed' // each old pack
  | 'done'; // G4, each

export interface CollectOptions {
  /**
   * Packs whose name is younger are left alone: a backup that is running may want them. Economy
   * only. Default a day.
   */
  readonly youngMs?: number;
  /**
   * Between G1 and G2. Economy only: readers of points that were just retired get this long.
   * Default 0.
   */
  readonly graceMs?: number;
  /**
   * Points without a seal whose name is older are given up, if the retention key is there. Default
   * 7 days.
   */
  readonly abandonedMs?: number;
  /**
   * A pack with a smaller share of needed bytes is written anew without the others. Default 0.6.
   */
  readonly liveShare?: number;
  /**
   * What compacting and merging may read. Default 16 GiB; 0 switches both off. In packs that are
   * needed in part, no more is condemned than what this reaches: the next collection goes on.
   */
  readonly rewriteBytes?: number;
  /** Packs with fewer bytes are merged with others. Default an eighth of the vault's pack size. */
  readonly smallPackBytes?: number;
  /** Fewer small packs than this are not worth merging. Default 8. */
  readonly mergeCount?: number;
  /**
   * What a bit for each slot may take; when that is too little, packs are dealt with in several
   * shares, and maps are read once for each. Default 2 MiB per TiB of packs, at least 16 MiB.
   */
  readonly markingBytes?: number;
  /** Points that should be there and are gone for good: the collection goes on without them. */
  readonly gonePoints?: readonly Ulid[];
  /** The same of aliases and holds, by their keys. */
  readonly goneObjects?: readonly ObjectKey[];
  /** Points of which the caller knows otherwise, from a catalog: each is there, or was given up. */
  readonly knownPoints?: readonly PointName[];
  /**
   * Somebody has looked: all points that should be there are listed. Then this machine need not
   * have known them for a day, and what nothing needs may be most of the vault. If that is wrong,
   * what the lists leave out is lost.
   */
  readonly allPointsAreListed?: boolean;
  /**
   * Awaited at each step; what it throws ends the collection there, as the death of the process
   * would.
   */
  readonly onStep?: (step: CollectStep, key?: ObjectKey) => Promise<void>;
  /** Waits for the grace time. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What a collection did. */
export interface CollectReport {
  readonly removedPoints: readonly PointName[];
  /** Points that count, and of how many VMs. */
  readonly standingPoints: number;
  readonly vms: number;
  /**
   * This machine has not known the points for long enough: nothing was removed, and nothing is
   * before then. `never` if it has no cache to remember them in.
   */
  readonly waitsUntilMs?: number | 'never';
  /** Unsealed points that were given up: asked for by their writers, or left behind. */
  readonly givenUpPoints: readonly PointName[];
  /**
   * Lists of condemned slots that this run wrote, and those of runs that died which it carried out.
   */
  readonly condemnedLists: readonly ObjectKey[];
  readonly carriedOutLists: readonly ObjectKey[];
  readonly removedPacks: number;
  readonly compactedPacks: number;
  readonly mergedPacks: number;
  /** Bytes of objects removed, and of those written in their place. */
  readonly removedBytes: number;
  readonly writtenBytes: number;
  /**
   * Bytes that no point needs and that stay: packs that are young, mostly live, or beyond the
   * budget.
   */
  readonly deadBytesLeft: number;
  /** Packs with damage that the collection met and left as they are. */
  readonly damagedPacks: readonly ObjectKey[];
  /** Objects that the store did not let go: under object lock, or for lack of a permission. */
  readonly refusedRemovals: number;
  /** The store was full, so packs that are needed in part were not written anew. */
  readonly noRoomToRewrite: boolean;
}

const HOUR_MS = 3_600_000;
const GIBIBYTE = 2 ** 30;

export type CollectRules = Required<
  Pick<
    CollectOptions,
    | 'youngMs'
    | 'graceMs'
    | 'abandonedMs'
    | 'liveShare'
    | 'rewriteBytes'
    | 'smallPackBytes'
    | 'mergeCount'
  >
>;

const MARKING_BYTES_MIN = 16 * 2 ** 20;
/** Why so little: docs/decisions/0059. */
const MARKING_SHARE = 2 ** 21 / 2 ** 40;

/** @param packBytes of all packs together */
export function markingBytes(options: CollectOptions, packBytes: number): number {
  return options.markingBytes ?? Math.max(MARKING_BYTES_MIN, packBytes * MARKING_SHARE);
}

export function collectRules(options: CollectOptions, packBytes: number): CollectRules {
  return {
    youngMs: options.youngMs ?? 24 * HOUR_MS,
    graceMs: options.graceMs ?? 0,
    abandonedMs: options.abandonedMs ?? 7 * 24 * HOUR_MS,
    liveShare: options.liveShare ?? 0.6,
    rewriteBytes: options.rewriteBytes ?? 16 * GIBIBYTE,
    smallPackBytes: options.smallPackBytes ?? packBytes / 8,
    mergeCount: options.mergeCount ?? 8,
  };
}

/** @throws Fault `vault.format-newer` */
export function refuseUncollectable({ format }: CollectParts): void {
  const { noCollect, readOnly } = format.features;
  if (noCollect !== 0 || readOnly !== 0) {
    throw new Fault(
      'vault.format-newer',
      `The vault ${format.name} uses features with which this program must not remove anything. Nothing was changed; use a newer program to collect.`,
      { noCollect, readOnly },
    );
  }
}
