import { createHash } from 'node:crypto';
import { backingNameIn, isQcow2 } from '../../../disk/qcow2-start.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import { open, stat } from '../../../kernel/files/files.ts';
import type { FileIdentity, Layer } from './vm-state.ts';

/** Header of version 3 (docs/interop/qcow2.txt of QEMU). */
const HEADER_BYTES_MIN = 104;
/**
 * Format version, length of the backing name, cluster size, encryption, internal snapshots,
 * refcount width.
 */
const LASTING_FIELDS = [
  { at: 4, bytes: 4 },
  { at: 16, bytes: 4 },
  { at: 20, bytes: 4 },
  { at: 32, bytes: 4 },
  { at: 60, bytes: 12 },
  { at: 96, bytes: 4 },
] as const;
/** Header, extensions and the backing name lie within this. */
const HEADER_BYTES = 4096;

/** How a file differs from the journal, in the words of stat(2) and of qcow2. */
export type Sign = 'device' | 'inode' | 'size' | 'mtime' | 'ctime' | 'header' | 'backing file';

/**
 * Returns the present identity of `layer`, with `settled` facts only if nobody can be writing it.
 */
export async function identityOf(layer: Layer, isWritable: boolean): Promise<FileIdentity> {
  const found = await stat(layer.path, { bigint: true }).catch((error: unknown) => {
    throw systemCode(error) === 'ENOENT' ? missing(layer.path) : error;
  });
  const identity = {
    device: String(found.dev),
    inode: String(found.ino),
    ...(layer.number === 0 && layer.format === 'qcow2' && (await lastingHeader(layer.path))),
  };
  if (isWritable) {
    return identity;
  }
  return {
    ...identity,
    settled: {
      sizeBytes: Number(found.size),
      modifiedNs: String(found.mtimeNs),
      changedNs: String(found.ctimeNs),
      ...(layer.format === 'qcow2' ? await headerFacts(layer.path) : { backing: '' }),
    },
  };
}

/**
 * Returns how the file differs from the journal, in the facts that the journal has; empty if it is
 * untouched. A change that keeps inode, size, times and header is not detected.
 */
export async function signsOf(layer: Layer): Promise<Sign[]> {
  const { identity: was } = layer;
  if (was === undefined) {
    return [];
  }
  const is = await identityOf(layer, was.settled === undefined);
  const signs = comparable(is);
  return Object.entries(comparable(was))
    .filter(([sign, before]) => before !== undefined && before !== signs[sign as Sign])
    .map(([sign]) => sign as Sign);
}

/**
 * Older state files lack some facts. Of a file that may be written, only facts that guests do not
 * change count.
 */
function comparable({ device, inode, lasting, settled }: FileIdentity): Record<Sign, unknown> {
  return {
    device,
    inode,
    size: settled?.sizeBytes,
    mtime: settled?.modifiedNs,
    ctime: settled?.changedNs,
    header: settled?.header ?? lasting,
    'backing file': settled?.backing,
  };
}

/** Returns nothing for a file that is no qcow2 image: opening it reports that. */
async function lastingHeader(path: string): Promise<{ lasting: string } | undefined> {
  await using file = await open(path, 'r');
  const header = Buffer.alloc(HEADER_BYTES_MIN);
  const { bytesRead } = await file.read(header, 0, header.length, 0);
  const isImage = bytesRead === header.length && isQcow2(header);
  const fields = LASTING_FIELDS.map(({ at, bytes }) => header.toString('hex', at, at + bytes));
  return { lasting: isImage ? fields.join('.') : 'none' };
}

/**
 * Returns a digest of the beginning of a qcow2 file, and the backing file that it names (`''`:
 * none).
 */
async function headerFacts(path: string): Promise<{ backing: string; header: string }> {
  await using file = await open(path, 'r');
  const buffer = Buffer.alloc(HEADER_BYTES);
  const { bytesRead } = await file.read(buffer, 0, HEADER_BYTES, 0);
  if (bytesRead < HEADER_BYTES_MIN || !isQcow2(buffer)) {
    throw new Fault('engine.image-refused', `${path} is not a qcow2 image of version 3.`, { path });
  }
  const backing = await backingNameIn(file, buffer);
  if (backing === undefined) {
    throw new Fault('engine.image-refused', `${path} has a damaged header.`, { path });
  }
  return {
    backing,
    header: createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex'),
  };
}

function missing(path: string): Fault {
  return new Fault(
    'engine.image-missing',
    `The image ${path} is gone. Put it back, or restore the VM from a recovery point.`,
    { path },
  );
}
