import type { FullReadReason, TrackingState } from '../../disk/change-set.ts';
import type { PointOrigin } from '../format/point-origin.ts';

/** Name of the firmware's variable store in a recovery point. */
export const NVRAM_FILE = 'nvram';

/** How the bytes of one disk were obtained. */
export type ReadMethod = 'changed-extents' | 'full';

export interface DiskStatistics extends ContentStatistics {
  /** Bytes read from the source, without holes. */
  readonly readBytes: number;
  /** Bytes of chunks that the vault did not have, before compression. */
  readonly newBytes: number;
  /** Bytes added to the vault for this disk, after compression and encryption. */
  readonly storedBytes: number;
}

/** What a point did to the content of a disk. Points of earlier programs do not say it. */
export interface ContentStatistics {
  /** Of the new bytes, those that stand where the point before had other content. */
  readonly replacingBytes?: number | undefined;
  /** What these take in the vault. */
  readonly replacingStoredBytes?: number | undefined;
  /** Bytes that had content in the point before and are zero now. */
  readonly clearedBytes?: number | undefined;
  /** Bytes of the disk that are not zero. */
  readonly contentBytes?: number | undefined;
}

export interface PointDisk {
  readonly diskId: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly tracking?: TrackingState;
  readonly method: ReadMethod;
  /** Why the whole disk was read; undefined for `changed-extents`. */
  readonly reason?: FullReadReason;
  readonly statistics: DiskStatistics;
}

/** A state of a VM that can be restored. */
export interface RecoveryPoint {
  /**
   * ULID. Its time gives the point's place in the order (`byContent`), and may differ from the
   * clock.
   */
  readonly id: string;
  readonly vmId: string;
  readonly vmName: string;
  /** When the VM was frozen, in ms since the Unix epoch, by the host's clock. */
  readonly takenAtMs: number;
  readonly parentId?: string;
  readonly consistency: 'filesystem' | 'crash' | 'powered-off' | 'imported';
  /** Sentences for people: what was done although something was missing. */
  readonly notes: readonly string[];
  /** The VM's definition as JSON. Its parser must treat it as hostile input. */
  readonly configuration: unknown;
  readonly disks: readonly PointDisk[];
  /** Small files that belong to the VM, by name: `nvram`. Read with `Vault.readFile`. */
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
  /** Undefined counts as by hand. */
  readonly origin?: PointOrigin;
}
