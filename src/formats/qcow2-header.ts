import { isQcow2 } from '../disk/qcow2-start.ts';
import { Fault } from '../kernel/fault.ts';

/**
 * How much of the start of a file is read: the header and its extensions are in the first cluster.
 */
export const HEADER_BYTES_MAX = 64 * 1024;

const V2_BYTES = 72;
const V3_BYTES = 104;
const BACKING_NAME_BYTES_MAX = 1023;
const CLUSTER_BITS_MIN = 9;
const CLUSTER_BITS_MAX = 21;
/** Far beyond any disk: a header that claims more is not from a real image. */
const VIRTUAL_SIZE_MAX = 256n * 1024n ** 4n;

const Incompatible = {
  dirty: 1n << 0n,
  corrupt: 1n << 1n,
  dataFile: 1n << 2n,
  compressionType: 1n << 3n,
  extendedL2: 1n << 4n,
} as const;
const KNOWN_FEATURES = Object.values(Incompatible).reduce((all, bit) => all | bit, 0n);

const ExtensionType = { backingFormat: 0xe2792aca, dataFile: 0x44415441 } as const;

/** What the header of a qcow2 image says, checked as far as possible without its tables. */
export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly virtualSize: number;
  readonly clusterSize: number;
  /** Whether allocation is known for 32nds of a cluster. */
  readonly extendedL2: boolean;
  /** Whether the image was not closed; opening it for writing repairs its reference counts. */
  readonly isDirty: boolean;
  readonly snapshotCount: number;
  readonly backingFile?: string;
  readonly backingFormat?: string;
}

/**
 * Parses a header, treating it as hostile.
 *
 * @param start first bytes of the file, up to HEADER_BYTES_MAX
 * @throws Fault `formats.image-invalid`, `formats.image-unsupported`, `formats.outside-reference`
 */
export function readQcow2Header(start: Uint8Array, path: string): Qcow2Header {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const version = readVersion(path, start, view);
  const features = version === 3 ? view.getBigUint64(72) : 0n;
  assertSupported(path, view, features);
  const headerBytes = version === 3 ? view.getUint32(100) : V2_BYTES;
  if (headerBytes < (version === 3 ? V3_BYTES : V2_BYTES) || headerBytes > view.byteLength) {
    throw invalid(path, 'the header has an impossible length');
  }
  const geometry = readGeometry(path, view, (features & Incompatible.extendedL2) !== 0n);
  const backing = readBackingFile(path, view);
  const backingFormat = readExtensions(path, view, { start: headerBytes, end: backing.offset });
  return {
    version,
    ...geometry,
    isDirty: (features & Incompatible.dirty) !== 0n,
    snapshotCount: view.getUint32(60),
    ...(backing.name === undefined ? {} : { backingFile: backing.name }),
    ...(backingFormat === undefined ? {} : { backingFormat }),
  };
}

function readVersion(path: string, start: Uint8Array, view: DataView): 2 | 3 {
  if (start.byteLength < V2_BYTES || !isQcow2(start)) {
    throw invalid(path, 'it does not start with a qcow2 header');
  }
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) {
    throw unsupported(path, `qcow2 version ${String(version)}`);
  }
  if (version === 3 && view.byteLength < V3_BYTES) {
    throw invalid(path, 'the header is cut short');
  }
  return version;
}

function assertSupported(path: string, view: DataView, features: bigint): void {
  if (view.getUint32(32) !== 0) {
    throw unsupported(path, 'encryption; decrypt it with qemu-img convert first');
  }
  if ((features & Incompatible.dataFile) !== 0n) {
    throw outside(path, 'its content lies in another file (data-file)');
  }
  if ((features & Incompatible.corrupt) !== 0n) {
    throw invalid(path, 'it is marked as corrupt; repair it with qemu-img check -r all');
  }
  const unknown = features & ~KNOWN_FEATURES;
  if (unknown !== 0n) {
    throw unsupported(path, `features that are not known here (0x${unknown.toString(16)})`);
  }
}

function readGeometry(
  path: string,
  view: DataView,
  extendedL2: boolean,
): Pick<Qcow2Header, 'virtualSize' | 'clusterSize' | 'extendedL2'> {
  const clusterBits = view.getUint32(20);
  if (clusterBits < CLUSTER_BITS_MIN || clusterBits > CLUSTER_BITS_MAX) {
    throw invalid(path, `clusters of 2^${String(clusterBits)} bytes`);
  }
  const size = view.getBigUint64(24);
  if (size > VIRTUAL_SIZE_MAX) {
    throw invalid(path, `a disk of ${size.toString()} bytes`);
  }
  const clusterSize = 2 ** clusterBits;
  const virtualSize = Number(size);
  const entriesPerTable = clusterSize / (extendedL2 ? 16 : 8);
  const tables = Math.ceil(virtualSize / (clusterSize * entriesPerTable));
  if (view.getUint32(36) < tables) {
    throw invalid(path, 'its tables are too small for its disk');
  }
  return { virtualSize, clusterSize, extendedL2 };
}

function readBackingFile(path: string, view: DataView): { name?: string; offset: number } {
  const offset = view.getBigUint64(8);
  const length = view.getUint32(16);
  if (offset === 0n) {
    return { offset: view.byteLength };
  }
  if (length > BACKING_NAME_BYTES_MAX || offset + BigInt(length) > BigInt(view.byteLength)) {
    throw invalid(path, 'the name of its backing file lies outside its header');
  }
  const bytes = new Uint8Array(view.buffer, view.byteOffset + Number(offset), length);
  const name = Buffer.from(bytes).toString('utf8');
  // json:, nbd: and the like make QEMU open anything; so does a NUL that hides the rest of a name.
  if (/^[^/]*:/.test(name) || bytes.some((byte) => byte < 0x20)) {
    throw outside(path, 'its backing file is a protocol and not a file');
  }
  return { name, offset: Number(offset) };
}

/** Walks the extensions and returns the format of the backing file, if they name one. */
function readExtensions(
  path: string,
  view: DataView,
  within: { readonly start: number; readonly end: number },
): string | undefined {
  let format: string | undefined;
  let at = within.start;
  while (at + 8 <= within.end) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === 0) {
      return format;
    }
    if (length > within.end - at - 8) {
      throw invalid(path, 'an extension leaves its header');
    }
    if (type === ExtensionType.dataFile) {
      throw outside(path, 'its content lies in another file (data-file)');
    }
    if (type === ExtensionType.backingFormat) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + at + 8, length);
      format = Buffer.from(bytes).toString('utf8');
    }
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return format;
}

function invalid(path: string, what: string): Fault {
  return new Fault(
    'formats.image-invalid',
    `${path} is not a usable qcow2 image: ${what}. Nothing was changed.`,
    { path },
  );
}

function unsupported(path: string, what: string): Fault {
  return new Fault('formats.image-unsupported', `${path} uses ${what}.`, { path });
}

function outside(path: string, what: string): Fault {
  return new Fault(
    'formats.outside-reference',
    `${path} is refused: ${what}. Make it stand alone with qemu-img convert -O qcow2.`,
    { path },
  );
}
