/** Unit in which QEMU and qcow2 count disks. */
const SECTOR_BYTES = 512;

/** Returns the disk size that a virtual machine sees for an image of so many bytes. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}
