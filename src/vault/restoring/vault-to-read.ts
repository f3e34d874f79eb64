import type { DiskReader } from '../../disk/disk-reader.ts';
import type { DiskWriter } from '../../disk/disk-writer.ts';
import type { RestoreStatistics, Restoring } from './disk-restore.ts';

/** What a restore needs of a vault; `Vault` has the contracts. */
export interface VaultToRead {
  openDisk(pointId: string, diskId: string, signal: AbortSignal): Promise<DiskReader>;
  restoreDisk(
    disk: { pointId: string; diskId: string },
    writer: DiskWriter,
    running: Restoring & { readonly withoutIds?: boolean },
  ): Promise<RestoreStatistics>;
  readFile(pointId: string, name: string, signal: AbortSignal): Promise<Uint8Array>;
}
