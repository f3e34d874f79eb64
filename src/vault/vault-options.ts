import type { ChangeSet, TrackingState } from '../disk/change-set.ts';
import type { DiskReader } from '../disk/disk-reader.ts';
import type { Extent } from '../disk/extent.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { ReportProgress } from '../kernel/progress.ts';
import type { LockPolicy } from './lock/locking-store.ts';
import type { ProbeOptions } from './probe/store-probe.ts';
import type { RecoveryPoint } from './recovery-point.ts';
import type { CompressionLevel } from './zstd.ts';

/** What opens a vault. */
export type VaultUnlock =
  | {
      readonly kind: 'passphrase';
      readonly passphrase: string;
      /** Only this key object, by its id or the beginning of it. */
      readonly keyId?: string | undefined;
    }
  | { readonly kind: 'recovery-file'; readonly content: string }
  | { readonly kind: 'master-key'; readonly key: Uint8Array };

export interface OpenOptions {
  /** Opens the separate retention key of a vault that has one: to retire points. */
  readonly retention?: VaultUnlock;
  /**
   * Where footers are kept between runs; disposable. Without it every run learns the packs by LIST.
   */
  readonly cacheFolder?: string;
  /**
   * Chunks whose places are kept in memory; the others are looked up in files of the cache folder.
   */
  readonly indexEntries?: number;
  /**
   * Worker threads; default 2. With 0 the work runs in the calling thread: for small tests only.
   */
  readonly workers?: number;
  /** Starts the worker threads while the keys are being read: for whoever will store or restore. */
  readonly warm?: boolean;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** What a recovery point is begun with. */
export interface NewPoint {
  readonly vmId: string;
  readonly vmName: string;
  /**
   * How hard to compress, 1 (fast) to 7 (small); by default as hard as does not slow the backup.
   */
  readonly compressionLevel?: CompressionLevel;
}

/** Cost of turning a passphrase into a key. */
export interface KdfCost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

/** Written to the vault at creation; the defaults are right outside tests. */
export interface VaultParameters {
  readonly minSectors: number;
  readonly maxSectors: number;
  /** A cut happens after one sector in 2^cutBits. */
  readonly cutBits: number;
  readonly packBytes: number;
  readonly chunkId: 'blake3' | 'hmac-sha256';
  readonly kdf: KdfCost;
}

export interface CreateOptions extends OpenOptions {
  /** For people; stands in the vault in clear. */
  readonly name: string;
  readonly passphrase: string;
  /** Makes a retention key that this passphrase opens, and not the other one. */
  readonly retentionPassphrase?: string;
  /** Locks every object against removal; needs `probe`, which shows whether the store does so. */
  readonly lock?: LockPolicy;
  /** Tries what the store can do, and refuses one that the vault could not rely on. */
  readonly probe?: Omit<ProbeOptions, 'clock'>;
  /** Only one machine writes: allows stores whose LIST lags for other clients. */
  readonly singleWriter?: boolean;
  readonly parameters?: Partial<VaultParameters>;
}

/** What operations that take long get besides their input. */
export interface Running {
  readonly signal: AbortSignal;
  readonly report?: ReportProgress;
}

export interface DiskSource {
  readonly diskId: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** Must stay readable until `commit` has returned: a conflict reads it again. */
  readonly reader: DiskReader;
  /**
   * Relative to the parent point (`PointWriter.parent`). Without a parent's map it is read whole
   * anyway.
   */
  readonly changes: ChangeSet;
  readonly tracking?: TrackingState;
  /**
   * Ranges that are read and compared with the last map although nothing changed there, to see that
   * change tracking tells the truth. If it does not, the whole disk is read (`tracking-wrong`).
   */
  readonly prove?: readonly Extent[];
}

export interface PointFacts {
  readonly takenAtMs: number;
  readonly consistency: RecoveryPoint['consistency'];
  readonly notes: readonly string[];
  readonly configuration: unknown;
}

export interface RestoreStatistics {
  readonly sizeBytes: number;
  /** Written to the disk; the rest are zeroes that were left out. */
  readonly writtenBytes: number;
  /** Read from the store. */
  readonly fetchedBytes: number;
  readonly requests: number;
  /** Whether every chunk was proven to be the one that the point was made of. */
  readonly idsChecked: boolean;
}

/**
 * What was proven. 0: packs exist, as long as they were written. 1: also footers, the map, content
 * MACs and the link to the parent. 2: also every frame, decrypted and decompressed. 3: also the id
 * of every chunk.
 */
export type VerifyLevel = 0 | 1 | 2 | 3;

export interface VerifyProblem {
  readonly code: string;
  readonly message: string;
  readonly diskId?: string;
}

export interface VerifyReport {
  readonly pointId: string;
  /** The level reached: 2 instead of 3 when this machine cannot compute the vault's chunk ids. */
  readonly level: VerifyLevel;
  /** Why the level reached is not the one that was asked for. */
  readonly stoppedBy?: 'vault.chunk-id-unavailable';
  readonly ok: boolean;
  readonly packs: number;
  readonly frames: number;
  readonly chunks: number;
  readonly fetchedBytes: number;
  readonly problems: readonly VerifyProblem[];
}
