import { readFile } from 'node:fs/promises';

/** What a boot entry starts: a file on a partition of a disk with a DOS partition table. */
export interface BootTarget {
  readonly partitionStart: number;
  readonly partitionSectors: number;
  /** The disk's signature, from its partition table. */
  readonly diskSignature: number;
  /** `\VMLINUZ.EFI` */
  readonly file: string;
  /** What the program gets as its command line. */
  readonly commandLine: string;
}

/** EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c. */
const GLOBAL = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex');
/** The store's header follows that of its firmware volume (edk2, VariableFormat.h). */
const VOLUME_HEADER_BYTES = 0x48;
const STORE_HEADER_BYTES = 28;
const VARIABLE_HEADER_BYTES = 60;
const START = 0x55aa;
const ADDED = 0x3f;
/** Non-volatile, for boot services and for the running system. */
const ATTRIBUTES = 7;

/**
 * Debian's empty variable store of OVMF with one boot entry. A disk without the usual
 * `\EFI\BOOT\BOOTX64.EFI` boots by it alone.
 */
export async function storeWithBootEntry(template: string, target: BootTarget): Promise<Buffer> {
  const store = await readFile(template);
  let at = VOLUME_HEADER_BYTES + STORE_HEADER_BYTES;
  for (const variable of [
    variableOf('Boot0007', bootEntry(target)),
    variableOf('BootOrder', Buffer.from([7, 0])),
  ]) {
    if (store.subarray(at, at + variable.length).some((byte) => byte !== 0xff)) {
      throw new Error(`${template} is not an empty variable store`);
    }
    store.set(variable, at);
    at = Math.ceil((at + variable.length) / 4) * 4;
  }
  return store;
}

function variableOf(name: string, content: Buffer): Buffer {
  const encoded = utf16(name);
  const header = Buffer.alloc(VARIABLE_HEADER_BYTES);
  header.writeUInt16LE(START, 0);
  header.writeUInt8(ADDED, 2);
  header.writeUInt32LE(ATTRIBUTES, 4);
  header.writeUInt32LE(encoded.length, 36);
  header.writeUInt32LE(content.length, 40);
  GLOBAL.copy(header, 44);
  return Buffer.concat([header, encoded, content]);
}

/** EFI_LOAD_OPTION, UEFI specification 2.10, 3.1.3. */
function bootEntry({ file, commandLine, ...partition }: BootTarget): Buffer {
  const drive = Buffer.alloc(38);
  drive.writeUInt32LE(1, 0);
  drive.writeBigUInt64LE(BigInt(partition.partitionStart), 4);
  drive.writeBigUInt64LE(BigInt(partition.partitionSectors), 12);
  drive.writeUInt32LE(partition.diskSignature, 20);
  // A DOS partition table, and a signature of 32 bits.
  drive.set([1, 1], 36);
  const path = Buffer.concat([
    pathNode(4, 1, drive),
    pathNode(4, 4, utf16(file)),
    pathNode(0x7f, 0xff, Buffer.alloc(0)),
  ]);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(1, 0);
  head.writeUInt16LE(path.length, 4);
  return Buffer.concat([head, utf16('Test guest'), path, utf16(commandLine)]);
}

function pathNode(type: number, subtype: number, content: Buffer): Buffer {
  const head = Buffer.from([type, subtype, 0, 0]);
  head.writeUInt16LE(head.length + content.length, 2);
  return Buffer.concat([head, content]);
}

function utf16(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le');
}
