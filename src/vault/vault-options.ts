import type { ChangeSet, TrackingState } from '../disk/change-set.ts';
import type { DiskReader } from '../disk/disk-reader.ts';
import type { Extent } from '../disk/extent.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { ReportProgress } from '../kernel/progress.ts';
import type { LockPolicy } from './store/locking-store.ts';
import type { ProbeOptions } from './probe/store-probe.ts';
import type { RecoveryPoint } from './points/recovery-point.ts';
import type { CompressionLevel } from './bytes/zstd.ts';

/** What opens a vault. */
export type VaultUnlock =
  | {
      readonly kind: 'passphrase';
      readonly passphrase: string;
      /** Tries only this key object, by its id or the beginning of it. */
      readonly keyId?: string | undefined;
    }
  | { readonly kind: 'recovery-file'; readonly content: string }
  | { readonly kind: 'master-key'; readonly key: Uint8Array };

export interface OpenOptions {
  /** Opens the separate retention key, if the vault has one, for retiring points. */
  readonly retention?: VaultUnlock;
  /**
   * Disposable folder that keeps footers between runs. Without it every run learns the packs by
   * LIST.
   */
  readonly cacheFolder?: string;
  /**
   * How many chunks' places are kept in memory; others are looked up in files of the cache folder.
   */
  readonly indexEntries?: number;
  /**
   * Number of worker threads; default 2. With 0 the calling thread does the work: only for small
   * tests.
   */
  readonly workers?: number;
  /**
   * Starts the worker threads while the keys are being read; for callers that will store or
   * restore.
   */
  readonly warm?: boolean;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** What a recovery point starts with. */
export interface NewPoint {
  readonly vmId: string;
  readonly vmName: string;
  /**
   * Compression level, 1 (fast) to 7 (small); default: the highest that does not slow the backup.
   */
  readonly compressionLevel?: CompressionLevel;
}

/** Cost of turning a passphrase into a key. */
export interface KdfCost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

/** Written to the vault at creation. Only tests need other values than the defaults. */
export interface VaultParameters {
  readonly minSectors: number;
  readonly maxSectors: number;
  /** A cut follows one sector in 2^cutBits. */
  readonly cutBits: number;
  readonly packBytes: number;
  readonly chunkId: 'blake3' | 'hmac-sha256';
  readonly kdf: KdfCost;
}

export interface CreateOptions extends OpenOptions {
  /** For people. Stored in clear. */
  readonly name: string;
  readonly passphrase: string;
  /** Makes a retention key that this passphrase opens and the other one does not. */
  readonly retentionPassphrase?: string;
  /** Locks every object against removal. Needs `probe`, which shows whether the store does so. */
  readonly lock?: LockPolicy;
  /** Tries what the store can do, and refuses a store that the vault could not rely on. */
  readonly probe?: Omit<ProbeOptions, 'clock'>;
  /** Only one machine writes, so stores whose LIST lags for other clients are allowed. */
  readonly singleWriter?: boolean;
  readonly parameters?: Partial<VaultParameters>;
}

/** What long operations get besides their input. */
export interface Running {
  readonly signal: AbortSignal;
  readonly report?: ReportProgress;
}

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

export interface PointFacts {
  readonly takenAtMs: number;
  readonly consistency: RecoveryPoint['consistency'];
  readonly notes: readonly string[];
  readonly configuration: unknown;
}

export interface RestoreStatistics {
  readonly sizeBytes: number;
  /** Bytes written to the disk; the rest are zeroes that were left out. */
  readonly writtenBytes: number;
  /** Bytes read from the store. */
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
  /** The level reached: 2 instead of 3 if this machine cannot compute the vault's chunk ids. */
  readonly level: VerifyLevel;
  /** Why a lower level than the requested one was reached. */
  readonly stoppedBy?: 'vault.chunk-id-unavailable';
  readonly ok: boolean;
  readonly packs: number;
  readonly frames: number;
  readonly chunks: number;
  readonly fetchedBytes: number;
  readonly problems: readonly VerifyProblem[];
}
