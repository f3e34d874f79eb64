import type { Reason } from '../retention-plan.ts';

/** A point in a report. */
export interface ReportedPoint {
  readonly pointId: string;
  readonly vmId: string;
  readonly vmName: string;
  readonly takenAtMs: number;
  readonly because: readonly Reason[];
}

/** A revision that gives up more than falls due in a week. */
export interface WaitingRevision {
  readonly policy: string;
  readonly revision: number;
  /** The revision that goes on meanwhile; undefined: everything of the policy stays. */
  readonly carried: number | undefined;
  /** What it would give up early. */
  readonly pointIds: readonly string[];
}

/** What was decided about the points of a vault, and what was done. */
export interface RetentionReport {
  readonly atMs: number;
  readonly kept: number;
  /** To be given up, in the order of the vault. */
  readonly due: readonly ReportedPoint[];
  /** Kept until a person decides: `policy adopt`. */
  readonly undecided: readonly ReportedPoint[];
  /** VMs of which nothing is given up, and why. */
  readonly blocked: readonly { readonly vmId: string; readonly why: string }[];
  readonly waiting: readonly WaitingRevision[];
  /** Ids of the points that this service gave up. */
  readonly retired: readonly string[];
  /** Points that are due and were passed over at the last look. */
  readonly passedOver: readonly { readonly pointId: string; readonly why: string }[];
  /** Why this service does not give up what is due; undefined if it does. */
  readonly notHere?: string;
}
