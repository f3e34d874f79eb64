import type { ChangeSet, TrackingState } from '../../disk/change-set.ts';
import type { DiskReader } from '../../disk/disk-reader.ts';
import type { Extent } from '../../disk/extent.ts';
import type { CompressionLevel } from '../bytes/zstd.ts';
import type { PointOrigin } from '../format/point-origin.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';

/** What a recovery point starts with. */
export interface NewPoint {
  readonly vmId: string;
  readonly vmName: string;
  /**
   * Compression level, 1 (fast) to 7 (small); default: the highest that does not slow the backup.
   */
  readonly compressionLevel?: CompressionLevel;
}

/** A disk that a writer reads for a point. */
export interface DiskSource {
  readonly diskId: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** Must stay readable until `commit` has returned: after a conflict it is read again. */
  readonly reader: DiskReader;
  /**
   * Relative to the parent point (`PointWriter.parent`). Without a parent's map the whole disk is
   * read.
   */
  readonly changes: ChangeSet;
  readonly tracking?: TrackingState;
  /**
   * Ranges to read and compare with the last map although nothing changed there, to check change
   * tracking. If they differ, the whole disk is read (`tracking-wrong`).
   */
  readonly prove?: readonly Extent[];
}

/** What a point says besides its disks and files. */
export interface PointFacts {
  readonly takenAtMs: number;
  readonly consistency: RecoveryPoint['consistency'];
  readonly notes: readonly string[];
  readonly configuration: unknown;
  readonly origin?: PointOrigin;
}
