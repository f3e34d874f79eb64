import type { ContentExtent } from './extent.ts';

/**
 * A state of a disk in one history. The id is made when the disk is taken over, and again after any
 * mistrust; every freeze increases the generation by one.
 */
export interface TrackingState {
  readonly id: string;
  readonly generation: number;
}

/** Why a disk had to be read whole; stored in the recovery point, and shown. */
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
 * What changed in a disk since the state in a recovery point: the ranges to read (`data`) and those
 * known to be zero, ascending and disjoint; the rest is unchanged. Or that nothing is known, and
 * why.
 */
export type ChangeSet =
  | { readonly method: 'changed-extents'; readonly extents: readonly ContentExtent[] }
  | { readonly method: 'full'; readonly reason: FullReadReason };
