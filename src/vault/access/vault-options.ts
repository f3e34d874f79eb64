import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { KdfCost } from '../keys/key-object.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';
import type { LockPolicy } from '../store/locking-store.ts';
import type { ReaderIdentity } from '../records/held-lease.ts';
import type { ProbeOptions } from '../probe/store-probe.ts';

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
  /** Under which name points are read. Default: of a program that is no service. */
  readonly reader?: ReaderIdentity;
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
