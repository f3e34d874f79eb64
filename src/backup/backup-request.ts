import type { GuestLatencyLimit } from '../kernel/rates/guest-latency.ts';
import type { RateLimits } from '../kernel/rates/rate-limits.ts';
import type { CompressionLevel } from '../vault/bytes/zstd.ts';
import type { PointOrigin } from '../vault/format/point-origin.ts';
import type { GuestCommandsRequest } from './guest-hooks.ts';

/** What a backup of one VM is asked for. */
export interface BackupRequest {
  readonly vmId: string;
  readonly vaultId: string;
  /** Does not ask the guest agent to freeze file systems. */
  readonly crashConsistent: boolean;
  /** Reads every disk whole, whatever change tracking says. */
  readonly full: boolean;
  /** Default: the highest that does not slow the backup. */
  readonly compressionLevel?: CompressionLevel | undefined;
  /** Default: by hand, for whom this runs. */
  readonly origin?: Omit<PointOrigin, 'service'> | undefined;
  readonly rateLimits?: RateLimits | undefined;
  /** What runs inside the guest around the freeze. A VM that is off runs nothing. */
  readonly guestCommands?: GuestCommandsRequest | undefined;
  /** What the guest may feel of the backup. Default: no limit. */
  readonly guestLatency?: GuestLatencyLimit | undefined;
}
