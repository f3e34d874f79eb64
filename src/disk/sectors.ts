/** What QEMU and qcow2 count disks in. */
const SECTOR_BYTES = 512;

/** The size that a virtual machine sees of a disk image of so many bytes. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}
