import type { DiskState, Layer } from '../state/vm-state.ts';

/** Options of one block node, as `-blockdev` and `blockdev-add` take them. */
export type BlockNode = Readonly<Record<string, unknown>> & { readonly 'node-name': string };

/** Returns the name of a node: at most 31 characters, and the same after a restart. */
export function nodeName(disk: Pick<DiskState, 'index'>, layer: Pick<Layer, 'number'>): string {
  return `d${disk.index}l${layer.number}`;
}

export function fileNodeName(disk: Pick<DiskState, 'index'>, layer: Pick<Layer, 'number'>): string {
  return `${nodeName(disk, layer)}f`;
}

/**
 * Returns all nodes of a disk, base first, each after those it names. Drivers and backing nodes are
 * explicit, so QEMU probes no format and follows no name in a header.
 */
export function diskNodes(
  disk: DiskState,
  options: { readonly readOnly?: boolean } = {},
): BlockNode[] {
  return disk.layers.flatMap((layer, index) => {
    const below = disk.layers[index - 1];
    const isTop = index === disk.layers.length - 1 && options.readOnly !== true;
    return [
      fileNode(disk, layer, isTop),
      formatNode(disk, layer, {
        isTop,
        backing: below === undefined ? null : nodeName(disk, below),
      }),
    ];
  });
}

/**
 * Returns an overlay for adding before the transaction that puts it on top: `backing` must be null.
 */
export function preparedOverlay(
  disk: DiskState,
  layer: Layer,
): { readonly file: BlockNode; readonly format: BlockNode } {
  return {
    file: fileNode(disk, layer, true),
    format: formatNode(disk, layer, { isTop: true, backing: null }),
  };
}

function fileNode(disk: DiskState, layer: Layer, isTop: boolean): BlockNode {
  return {
    driver: 'file',
    'node-name': fileNodeName(disk, layer),
    filename: layer.path,
    discard: 'unmap',
    // Lower layers are only read, but a running merge opens the base for writing.
    ...(isTop ? {} : { 'auto-read-only': true }),
  };
}

function formatNode(
  disk: DiskState,
  layer: Layer,
  { isTop, backing }: { readonly isTop: boolean; readonly backing: string | null },
): BlockNode {
  return {
    driver: layer.format,
    'node-name': nodeName(disk, layer),
    file: fileNodeName(disk, layer),
    discard: 'unmap',
    // Without this QEMU 7.2 merges zeroes into the base as data.
    'detect-zeroes': 'unmap',
    // A raw image takes no backing file, not even null.
    ...(layer.format === 'raw' ? {} : { backing }),
    ...(isTop ? {} : { 'read-only': true }),
  };
}
