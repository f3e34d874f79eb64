/** One entry of a cpio archive; a folder has no content. */
export interface CpioEntry {
  readonly path: string;
  readonly mode: number;
  readonly content?: Uint8Array;
  /** Major and minor number of a character device. */
  readonly device?: readonly [number, number];
}

function align(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}

/**
 * An archive in the "newc" format that the Linux kernel unpacks as initramfs. The same entries give
 * the same bytes: all times and owners are 0.
 * (Documentation/driver-api/early-userspace/buffer-format.rst)
 */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const pieces: Buffer[] = [];
  const trailer: CpioEntry = { path: 'TRAILER!!!', mode: 0 };
  for (const [index, { path, mode, content, device }] of [...entries, trailer].entries()) {
    const name = Buffer.from(`${path}\0`);
    const size = content?.length ?? 0;
    const [major, minor] = device ?? [0, 0];
    const inode = path === trailer.path ? 0 : index + 1;
    const fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name.length, 0];
    const header = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
    pieces.push(Buffer.from(`070701${header}`), name, align(110 + name.length));
    if (content !== undefined) {
      pieces.push(Buffer.from(content), align(size));
    }
  }
  return Buffer.concat(pieces);
}
