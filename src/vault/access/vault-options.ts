import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { KdfCost } from '../keys/key-object.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';
import type { LockPolicy } from '../store/locking-store.ts';
import type { ProbeOptions } from '../probe/store-probe.ts';

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
