import { isAbsolute } from 'node:path';
import { Fault } from '../kernel/fault.ts';

export type ImageFormat = 'raw' | 'qcow2';

/** One file of a chain of images. What its header says about other files is never trusted. */
export interface ImageLayer {
  /** Absolute. */
  readonly path: string;
  readonly format: ImageFormat;
}

/**
 * Checks a path: a relative name would mean different files to different processes, and a NUL ends
 * a name early.
 */
export function assertImagePath(path: string): void {
  if (!isAbsolute(path) || path.includes('\0')) {
    throw new Fault('formats.image-unsupported', `Give the image as an absolute path: ${path}`, {
      path,
    });
  }
}

/**
 * Returns the graph of `layers` (base first) as a file name for QEMU's tools. Every driver and
 * backing file is explicit, so the tools probe nothing and follow no reference in a header.
 */
export function imageGraph(
  layers: readonly [ImageLayer, ...ImageLayer[]],
  options: { readonly writable?: boolean } = {},
): string {
  let graph: object | null = null;
  // Without these QEMU 7.2 stores zeroes as data when it writes or merges.
  const discard = options.writable === true ? { discard: 'unmap' } : {};
  const zeroes = options.writable === true ? { 'detect-zeroes': 'unmap' } : {};
  for (const { path, format } of layers) {
    assertImagePath(path);
    graph = {
      driver: format,
      ...discard,
      ...zeroes,
      file: { driver: 'file', filename: path, ...discard },
      // A raw image takes no backing file, not even null.
      ...(format === 'raw' ? {} : { backing: graph }),
    };
  }
  return `json:${JSON.stringify(graph)}`;
}
