import { open, stat } from 'node:fs/promises';
import { Fault, systemCode } from '../../kernel/fault.ts';
import type { FileIdentity, Layer } from './vm-state.ts';

/** qcow2 header (docs/interop/qcow2.txt): "QFI\xfb", then big-endian fields at these bytes. */
const QCOW2_MAGIC = 0x514649fb;
const BACKING_OFFSET_AT = 8;
const BACKING_LENGTH_AT = 16;
const HEADER_BYTES = 104;
const BACKING_LENGTH_MAX = 1023;

/** What `layer` is now. `settled` facts only if nobody may be writing it. */
export async function identityOf(layer: Layer, isWritable: boolean): Promise<FileIdentity> {
  const found = await stat(layer.path, { bigint: true }).catch((error: unknown) => {
    throw systemCode(error) === 'ENOENT' ? missing(layer.path) : error;
  });
  const identity = { device: String(found.dev), inode: String(found.ino) };
  if (isWritable) {
    return identity;
  }
  return {
    ...identity,
    settled: {
      sizeBytes: Number(found.size),
      modifiedNs: String(found.mtimeNs),
      backing: layer.format === 'qcow2' ? await backingName(layer.path) : '',
    },
  };
}

/** Whether the file is still what was journalled, as far as the journal knows it. */
export async function isUntouched(layer: Layer): Promise<boolean> {
  const { identity: was } = layer;
  if (was === undefined) {
    return true;
  }
  const is = await identityOf(layer, was.settled === undefined);
  return (
    is.device === was.device &&
    is.inode === was.inode &&
    is.settled?.sizeBytes === was.settled?.sizeBytes &&
    is.settled?.modifiedNs === was.settled?.modifiedNs &&
    is.settled?.backing === was.settled?.backing
  );
}

/** The backing file that a qcow2 header names; `''` if none. */
async function backingName(path: string): Promise<string> {
  await using file = await open(path, 'r');
  const header = Buffer.alloc(HEADER_BYTES);
  const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
  if (bytesRead < HEADER_BYTES || header.readUInt32BE(0) !== QCOW2_MAGIC) {
    throw new Fault('engine.image-refused', `${path} is not a qcow2 image of version 3.`, { path });
  }
  const length = header.readUInt32BE(BACKING_LENGTH_AT);
  if (length === 0) {
    return '';
  }
  if (length > BACKING_LENGTH_MAX) {
    throw new Fault('engine.image-refused', `${path} has a damaged header.`, { path });
  }
  const name = Buffer.alloc(length);
  await file.read(name, 0, length, Number(header.readBigUInt64BE(BACKING_OFFSET_AT)));
  return name.toString('utf8');
}

function missing(path: string): Fault {
  return new Fault(
    'engine.image-missing',
    `The image ${path} is gone. Put it back, or restore the VM from a recovery point.`,
    { path },
  );
}
