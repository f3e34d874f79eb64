import type { DiskReader } from '../../disk/disk-reader.ts';
import type { DiskWriter } from '../../disk/disk-writer.ts';
import type { Running } from '../../kernel/progress.ts';
import type { Losses } from '../damage/losses.ts';
import type { RestoreStatistics } from './disk-restore.ts';

/** What a restore needs of a vault; `Vault` has the contracts. */
export interface VaultToRead {
  openDisk(pointId: string, diskId: string, signal: AbortSignal): Promise<DiskReader>;
  restoreDisk(
    disk: { pointId: string; diskId: string },
    writer: DiskWriter,
    running: Running & { readonly losses?: Losses; readonly withoutIds?: boolean },
  ): Promise<RestoreStatistics>;
  readFile(pointId: string, name: string, signal: AbortSignal): Promise<Uint8Array>;
}
