/** A file in the root folder of a FAT volume. */
export interface FatFile {
  /** Eight characters, a dot, three: `VMLINUZ.EFI`. */
  readonly name: string;
  readonly content: Uint8Array;
}

const SECTOR_BYTES = 512;
const CLUSTER_BYTES = 4096;
const SECTORS_PER_CLUSTER = CLUSTER_BYTES / SECTOR_BYTES;
const ROOT_ENTRIES = 512;
const ENTRY_BYTES = 32;
const LAST_CLUSTER = 0xffff;
const FIXED_DISK = 0xf8;
/** A volume with fewer clusters is FAT12, with more FAT32. */
const CLUSTERS = { min: 4085, max: 65_524 } as const;

/** A FAT16 volume with a few files, as firmware reads it (Microsoft's "FAT General Overview"). */
export function fat16Volume(sizeBytes: number, files: readonly FatFile[]): Buffer {
  const sectors = sizeBytes / SECTOR_BYTES;
  const fatSectors = Math.ceil((Math.ceil(sizeBytes / CLUSTER_BYTES) * 2) / SECTOR_BYTES);
  const rootAt = (1 + 2 * fatSectors) * SECTOR_BYTES;
  const dataAt = rootAt + ROOT_ENTRIES * ENTRY_BYTES;
  const clusters = Math.floor((sizeBytes - dataAt) / CLUSTER_BYTES);
  if (clusters < CLUSTERS.min || clusters > CLUSTERS.max) {
    throw new RangeError(`${sizeBytes} bytes are no size for FAT16`);
  }
  const volume = Buffer.alloc(sizeBytes);
  writeBootSector(volume, { sectors, fatSectors });
  const fat = new Uint16Array(clusters + 2);
  fat.set([0xff00 | FIXED_DISK, LAST_CLUSTER]);
  let next = 2;
  for (const [index, { name, content }] of files.entries()) {
    const count = Math.ceil(content.length / CLUSTER_BYTES);
    if (next + count > fat.length) {
      throw new RangeError('the files do not fit');
    }
    const [stem = '', extension = ''] = name.split('.');
    const entry = rootAt + index * ENTRY_BYTES;
    volume.write(stem.padEnd(8) + extension.padEnd(3), entry, 'latin1');
    volume.writeUInt16LE(next, entry + 26);
    volume.writeUInt32LE(content.length, entry + 28);
    volume.set(content, dataAt + (next - 2) * CLUSTER_BYTES);
    for (let cluster = next; cluster < next + count; cluster++) {
      fat[cluster] = cluster + 1 < next + count ? cluster + 1 : LAST_CLUSTER;
    }
    next += count;
  }
  for (const copy of [0, 1]) {
    volume.set(new Uint8Array(fat.buffer), (1 + copy * fatSectors) * SECTOR_BYTES);
  }
  return volume;
}

function writeBootSector(
  volume: Buffer,
  { sectors, fatSectors }: { readonly sectors: number; readonly fatSectors: number },
): void {
  volume.set([0xeb, 0x3c, 0x90]);
  volume.write('HYPERKP ', 3, 'latin1');
  volume.writeUInt16LE(SECTOR_BYTES, 11);
  volume.writeUInt8(SECTORS_PER_CLUSTER, 13);
  volume.writeUInt16LE(1, 14);
  volume.writeUInt8(2, 16);
  volume.writeUInt16LE(ROOT_ENTRIES, 17);
  volume.writeUInt8(FIXED_DISK, 21);
  volume.writeUInt16LE(fatSectors, 22);
  volume.writeUInt32LE(sectors, 32);
  volume.set([0x80, 0, 0x29], 36);
  volume.write('ESP        FAT16   ', 43, 'latin1');
  volume.writeUInt16LE(0xaa55, 510);
}
