import type { FileHandle } from '../kernel/files/files.ts';

/** "QFI\xfb". Numbers and names follow docs/interop/qcow2.txt of QEMU: all fields big-endian. */
const MAGIC = 0x514649fb;
const BACKING_OFFSET_AT = 8;
const BACKING_LENGTH_AT = 16;
/** Start of a header up to the length of the backing name. */
export const BACKING_FIELDS_BYTES = 20;
const BACKING_NAME_BYTES_MAX = 1023;

/** Whether a file that begins with these bytes says that it is a qcow2 image. */
export function isQcow2(start: Uint8Array): boolean {
  const { buffer, byteOffset, byteLength } = start;
  return byteLength >= 4 && new DataView(buffer, byteOffset, byteLength).getUint32(0) === MAGIC;
}

/**
 * Returns the backing file that a header names, as it stands there: it may be hostile. `''` if it
 * names none, undefined if the name is longer than one can be.
 *
 * @param start at least the first BACKING_FIELDS_BYTES of `file`
 */
export async function backingNameIn(
  file: Pick<FileHandle, 'read'>,
  start: Buffer,
): Promise<string | undefined> {
  const length = start.readUInt32BE(BACKING_LENGTH_AT);
  if (length === 0) {
    return '';
  }
  if (length > BACKING_NAME_BYTES_MAX) {
    return undefined;
  }
  const name = Buffer.alloc(length);
  await file.read(name, 0, length, Number(start.readBigUInt64BE(BACKING_OFFSET_AT)));
  return name.toString('utf8');
}
