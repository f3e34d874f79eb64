import type { DiskReader } from '../../disk/disk-reader.ts';
import type { DiskWriter } from '../../disk/disk-writer.ts';
import { ExportFlag } from '../protocol.ts';
import type { OfferedExport } from './handshake.ts';

/** A disk that a server exports. It belongs to who made it, who also closes it. */
export interface ServedDisk {
  readonly reader: DiskReader;
  /** Changes what the reader reads. None: clients only read. */
  readonly writer?: DiskWriter;
}

/** Returns what clients are told about a disk. */
export function offerOf({ reader, writer }: ServedDisk): OfferedExport {
  const can =
    writer === undefined
      ? ExportFlag.readOnly
      : ExportFlag.sendForceAccess | ExportFlag.sendTrim | ExportFlag.sendWriteZeroes;
  // Several connections see one disk, and a flush of one is a flush of all.
  const always = ExportFlag.hasFlags | ExportFlag.sendFlush | ExportFlag.canMultiConn;
  return { size: reader.size, flags: always | can };
}
