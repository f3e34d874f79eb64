import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import type { VaultFormat } from '../control/format-object.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import type { PointName } from '../points/retirements.ts';
import type { PointStore } from '../points/point-store.ts';
import type { Ulid } from '../bytes/ulid.ts';
import type { TaskPool } from '../tasks/task-pool.ts';

/** What marking needs of a vault: `Vault.inside` has it all. */
export interface CollectParts {
  readonly base: VaultBase;
  readonly format: VaultFormat;
  readonly points: PointStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly cache?: FooterCache;
}

/** Collecting also removes, and needs the pool to compute the ids of what it keeps. */
export interface RemovingParts extends CollectParts {
  readonly pool: TaskPool;
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
   * Unsealed points whose names are older are given up, if the retention key is there. Default 7
   * days.
   */
  readonly abandonedMs?: number;
  /**
   * A pack with a smaller share of needed bytes is rewritten without the others. Default 0.6.
   */
  readonly liveShare?: number;
  /**
   * Limit for what compacting and merging read. Default 16 GiB; 0 switches both off. In packs that
   * are needed in part, a collection condemns no more than this covers; the next one goes on.
   */
  readonly rewriteBytes?: number;
  /** Packs with fewer bytes are merged with others. Default an eighth of the vault's pack size. */
  readonly smallPackBytes?: number;
  /** Fewer small packs than this are not worth merging. Default 8. */
  readonly mergeCount?: number;
  /**
   * Limit for the bits that mark slots, one each. If it is too small, packs are handled in several
   * shares, and the maps are read once per share. Default 2 MiB per TiB of packs, at least 16 MiB.
   */
  readonly markingBytes?: number;
  /** Points that should be there and are gone for good: the collection goes on without them. */
  readonly gonePoints?: readonly Ulid[];
  /** Keys of aliases and holds that should be there and are gone for good. */
  readonly goneObjects?: readonly ObjectKey[];
  /** Points that the caller's catalog knows: each must be listed, or must have been given up. */
  readonly knownPoints?: readonly PointName[];
  /**
   * The caller asserts that all points that should be there are listed. The collection then neither
   * waits until this machine has known them for a day nor stops if most of the vault looks
   * unneeded. If the assertion is wrong, the data of unlisted points is lost.
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
  /** How many points count, and how many VMs they belong to. */
  readonly standingPoints: number;
  readonly vms: number;
  /**
   * When this machine will have known the points for long enough; until then nothing is removed.
   * `never` if it has no cache to remember them in.
   */
  readonly waitsUntilMs?: number | 'never';
  /** Unsealed points that were given up: asked for by their writers, or left behind. */
  readonly givenUpPoints: readonly PointName[];
  /** Lists of condemned slots that this run wrote, and lists of dead runs that it carried out. */
  readonly condemnedLists: readonly ObjectKey[];
  readonly carriedOutLists: readonly ObjectKey[];
  readonly removedPacks: number;
  readonly compactedPacks: number;
  readonly mergedPacks: number;
  /** Bytes of the objects removed, and of the objects written in their place. */
  readonly removedBytes: number;
  readonly writtenBytes: number;
  /**
   * Bytes that no point needs and that stay: packs that are young, mostly live, or beyond the
   * budget.
   */
  readonly deadBytesLeft: number;
  /** Packs that the collection found damaged and left as they are. */
  readonly damagedPacks: readonly ObjectKey[];
  /** Objects that the store refused to remove: under object lock, or for lack of a permission. */
  readonly refusedRemovals: number;
  /** The store was full, so packs that are needed in part were not rewritten. */
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
/** docs/decisions/0059 says why so little suffices. */
const MARKING_SHARE = 2 ** 21 / 2 ** 40;

/** @param packBytes total size of all packs */
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
