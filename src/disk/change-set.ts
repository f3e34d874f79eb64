import type { ContentExtent } from './extent.ts';

/**
 * Where a disk's content came from in one line of history: the id is minted when the disk is taken
 * and again after any mistrust; every freeze raises the generation by one.
 */
export interface TrackingState {
  readonly id: string;
  readonly generation: number;
}

/** Why a disk has to be read whole; kept in the recovery point and shown. */
export type FullReadReason =
  | 'first-backup'
  | 'tracking-unavailable'
  | 'tracking-replaced'
  | 'change-log-gap'
  | 'tracking-wrong'
  | 'parent-damaged'
  | 'parent-unreadable'
  | 'imported-image'
  | 'requested';

/**
 * What changed in a disk since a state that a recovery point holds: the ranges to read (`data`) and
 * those known to be zero, ascending and disjoint; everything else is as it was. Or that nothing is
 * known, and why.
 */
export type ChangeSet =
  | { readonly method: 'changed-extents'; readonly extents: readonly ContentExtent[] }
  | { readonly method: 'full'; readonly reason: FullReadReason };
