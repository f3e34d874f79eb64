import { isQcow2 } from '../disk/qcow2-start.ts';
import { extname } from 'node:path';
import { Fault } from '../kernel/fault.ts';
import { constants, open, stat, type FileHandle, type Stats } from '../kernel/files/files.ts';
import { onFile } from './file-fault.ts';
import { assertImagePath, type ImageFormat } from './image-layer.ts';
import { HEADER_BYTES_MAX, readQcow2Header, type Qcow2Header } from './qcow2-header.ts';

/** What our own code found out about an image before any tool opens it. */
export type ImageInspection =
  | { readonly format: 'raw'; readonly virtualSize: number; readonly fileSize: number }
  | ({ readonly format: 'qcow2'; readonly fileSize: number } & Qcow2Header);

const FOOTER_BYTES = 512;
const VHD_COOKIE = 'conectix';
/**
 * Offset and value of the big-endian type in a VHD footer which says that the disk needs its
 * parent.
 */
const VHD_TYPE_OFFSET = 60;
const VHD_TYPE_DIFFERENCING = 4;

/** First bytes of foreign formats. */
const FOREIGN_STARTS = [
  { name: 'VHDX', offset: 0, bytes: 'vhdxfile' },
  { name: 'VMDK', offset: 0, bytes: 'KDMV' },
  { name: 'VMDK', offset: 0, bytes: 'COWD' },
  { name: 'VMDK', offset: 0, bytes: '# Disk DescriptorFile' },
  { name: 'VDI', offset: 64, bytes: '\x7f\x10\xda\xbe' },
  { name: 'QED', offset: 0, bytes: 'QED\0' },
  { name: 'LUKS', offset: 0, bytes: 'LUKS\xba\xbe' },
] as const;

/**
 * Inspects an image without trusting it.
 *
 * Without a `format` the file's name decides (`.qcow2`, `.raw`), because a guest can write any
 * header to its own raw disk. A file counts as raw only if its name says nothing and its content
 * looks like no known format.
 * @throws Fault `formats.image-missing`, `formats.image-invalid`, `formats.image-unsupported`,
 *   `formats.outside-reference`
 */
export async function inspectImage(
  path: string,
  format: ImageFormat | undefined,
  signal: AbortSignal,
): Promise<ImageInspection> {
  await using opened = await openFile(path, signal);
  const { facts, file } = opened;
  const start = await readPart(file, path, { offset: 0, length: HEADER_BYTES_MAX });
  const decided = format ?? formatByName(path);
  if (decided === 'qcow2') {
    return { format: 'qcow2', fileSize: facts.size, ...readQcow2Header(start, path) };
  }
  assertNoVhd(path, start, 'start');
  if (decided === undefined) {
    assertLikeNothing(path, start);
    const footer = { offset: Math.max(0, facts.size - FOOTER_BYTES), length: FOOTER_BYTES };
    assertNoVhd(path, await readPart(file, path, footer), 'end');
  }
  return { format: 'raw', virtualSize: facts.size, fileSize: facts.size };
}

/**
 * Returns the format that an image begins like: `qcow2`, or the name of one that we do not read.
 * This is only a hint, because a guest can write any header to its own raw disk.
 * @throws Fault `formats.image-missing`, `formats.image-unsupported`
 */
export async function looksLike(path: string, signal: AbortSignal): Promise<string | undefined> {
  await using opened = await openFile(path, signal);
  const { file } = opened;
  return startsLike(await readPart(file, path, { offset: 0, length: HEADER_BYTES_MAX }));
}

interface OpenedFile extends AsyncDisposable {
  readonly file: FileHandle;
  readonly facts: Stats;
}

async function openFile(path: string, signal: AbortSignal): Promise<OpenedFile> {
  signal.throwIfAborted();
  assertImagePath(path);
  const facts = await onFile(path, stat(path));
  if (!facts.isFile()) {
    throw unsupported(path, 'It is not a file.');
  }
  const file = await onFile(path, open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  return { file, facts, [Symbol.asyncDispose]: async () => file.close() };
}

/** @throws Fault `formats.outside-reference` if the image is only a layer over another */
export function assertStandsAlone(path: string, inspection: ImageInspection): void {
  if (inspection.format === 'qcow2' && inspection.backingFile !== undefined) {
    throw new Fault(
      'formats.outside-reference',
      `${path} is only a layer over another image, which it names itself. Make it stand alone with qemu-img convert -O qcow2.`,
      { path },
    );
  }
}

function formatByName(path: string): ImageFormat | undefined {
  const ending = extname(path).toLowerCase();
  if (ending === '.qcow2') {
    return 'qcow2';
  }
  return ending === '.raw' ? 'raw' : undefined;
}

function assertLikeNothing(path: string, start: Uint8Array): void {
  const name = startsLike(start);
  if (name === 'qcow2') {
    throw unsupported(
      path,
      'It looks like qcow2 but its name does not say so: name the format, qcow2 or raw.',
    );
  }
  if (name !== undefined) {
    throw unsupported(path, `It looks like ${name}: convert it with qemu-img convert -O qcow2.`);
  }
}

function startsLike(start: Uint8Array): string | undefined {
  const bytes = Buffer.from(start);
  if (isQcow2(bytes)) {
    return 'qcow2';
  }
  return FOREIGN_STARTS.find(
    ({ offset, bytes: magic }) =>
      bytes.subarray(offset, offset + magic.length).toString('latin1') === magic,
  )?.name;
}

/**
 * Refuses an image with a VHD footer. A raw disk never starts with one; with one at the end, a name
 * must decide the format.
 */
function assertNoVhd(path: string, bytes: Uint8Array, where: 'start' | 'end'): void {
  const footer = Buffer.from(bytes.subarray(0, FOOTER_BYTES));
  if (footer.length < FOOTER_BYTES || footer.toString('latin1', 0, 8) !== VHD_COOKIE) {
    return;
  }
  // QEMU opens a differencing VHD and silently ignores its parent.
  throw footer.readUInt32BE(VHD_TYPE_OFFSET) === VHD_TYPE_DIFFERENCING
    ? new Fault(
        'formats.outside-reference',
        `${path} is a differencing VHD, which needs its parent. Merge it first (Merge-VHD).`,
        { path },
      )
    : unsupported(
        path,
        `It has a VHD footer at its ${where}: convert it with qemu-img convert -f vpc -O qcow2.`,
      );
}

async function readPart(
  file: FileHandle,
  path: string,
  part: { readonly offset: number; readonly length: number },
): Promise<Uint8Array> {
  const target = new Uint8Array(part.length);
  let done = 0;
  for (;;) {
    const position = part.offset + done;
    const read = file.read(target, done, part.length - done, position);
    const { bytesRead } = await onFile(path, read);
    done += bytesRead;
    if (bytesRead === 0 || done === part.length) {
      return target.subarray(0, done);
    }
  }
}

function unsupported(path: string, why: string): Fault {
  return new Fault('formats.image-unsupported', `${path} cannot be read as a disk. ${why}`, {
    path,
  });
}
