import type { ObjectKey } from '../store/object-store.ts';

export interface CopyAmount {
  readonly objects: number;
  readonly bytes: number;
}

/** What a copy would do. */
export interface CopyPlan {
  readonly vaultId: string;
  readonly missing: CopyAmount;
  readonly present: CopyAmount;
  /** Sealed points of the source that are not yet in the copy. */
  readonly points: number;
  /** Points of the copy that the source has never had or no longer has. */
  readonly pointsBeyond: number;
}

export interface CopyReport {
  readonly vaultId: string;
  readonly sent: CopyAmount;
  readonly points: number;
  readonly pointsBeyond: number;
  /** How often packs were listed until none vanished during a pass. */
  readonly passes: number;
  /**
   * Objects that are not as they should be, at most 100: packs that do not match their checksums in
   * the source, copied as they are; and objects with another size in the target, left as they are
   * unless the source's object is a whole pack.
   */
  readonly damaged: readonly ObjectKey[];
}
