import assert from 'node:assert/strict';
import type { DiskReader } from '../disk/disk-reader.ts';
import type { DiskWriter } from '../disk/disk-writer.ts';
import { assertStandsAlone, inspectImage } from './image-inspection.ts';
import type { ImageFormat } from './image-layer.ts';
import { ChainReader } from './chain-reader.ts';
import { Qcow2ImageWriter } from './qcow2-image-writer.ts';
import { RawDiskReader } from './raw-disk-reader.ts';
import { RawImageWriter } from './raw-image-writer.ts';

/**
 * Opens a standalone image. While it is open, it holds QEMU's lock: a VM that writes the image
 * cannot start, and the image of a running VM is refused.
 * @param format undefined: see `inspectImage`
 * @throws Fault `formats.*`
 */
export async function openImage(
  path: string,
  format: ImageFormat | undefined,
  signal: AbortSignal,
): Promise<DiskReader> {
  const inspection = await inspectImage(path, format, signal);
  assertStandsAlone(path, inspection);
  return inspection.format === 'raw'
    ? RawDiskReader.open(path, signal)
    : ChainReader.open([{ path, format: 'qcow2' }], signal);
}

/**
 * Makes a new image in an empty or missing file; never touches a file with content. The image is
 * whole once it was closed after a `flush` with no later writes. Give it a name that others trust
 * only then: see `NewFiles`.
 * @throws Fault `formats.image-exists`, `host.disk-full`, `formats.*`
 */
export async function createImage(
  path: string,
  format: ImageFormat,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<DiskWriter> {
  assert(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, 'not a size of a disk');
  return format === 'raw'
    ? RawImageWriter.create(path, sizeBytes, signal)
    : Qcow2ImageWriter.create(path, sizeBytes, signal);
}
