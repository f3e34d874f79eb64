import { Fault } from '../../kernel/fault.ts';
import { depthFor, type NodePointer } from '../maps/map-node.ts';
import type { MapNodes, MapRoot } from '../maps/map-tree.ts';
import type { MetadataWriter } from '../maps/metadata-writer.ts';
import { METADATA_FRAME_BYTES } from '../packs/pack-layout.ts';
import type { PackNumbers } from '../packs/pack-numbers.ts';
import type { PointDocument, PointerDocument } from './point-object.ts';
import type { PointDisk } from './recovery-point.ts';

/** A disk that was stored and is not yet part of a point. */
export interface StoredDisk {
  readonly disk: PointDisk;
  readonly root: MapRoot;
}

export function diskDocument(
  { disk: { reason, tracking, ...disk }, root }: StoredDisk,
  numbers: PackNumbers,
): PointDocument['disks'][number] {
  return {
    ...disk,
    ...(reason === undefined ? {} : { reason }),
    ...(tracking === undefined ? {} : { tracking }),
    depth: root.depth,
    ...(root.pointer === undefined ? {} : { root: pointerDocument(root.pointer, numbers) }),
  };
}

/** Returns the root of a disk's map in a point, with packs numbered for this process. */
export function mapRoot(disk: PointDocument['disks'][number], numbers: PackNumbers): MapRoot {
  const { sizeBytes, depth, root } = disk;
  if (depth !== depthFor(sizeBytes)) {
    throw new Fault(
      'vault.map-corrupt',
      `The map of the disk ${disk.name} has an impossible depth.`,
    );
  }
  return {
    sizeBytes,
    depth,
    ...(root === undefined ? {} : { pointer: nodePointer(root, numbers) }),
  };
}

export function nodePointer(
  { pack, slot, mac }: PointerDocument,
  numbers: PackNumbers,
): NodePointer {
  const number = numbers.of({ kind: 'metadata', ...pack });
  return { pack: number, slot, mac: Buffer.from(mac, 'hex') };
}

export function pointerDocument(
  { pack, slot, mac }: NodePointer,
  numbers: PackNumbers,
): PointerDocument {
  const { ulid, generation, rand } = numbers.name(pack);
  return { pack: { ulid, generation, rand }, slot, mac: mac.toString('hex') };
}

/** Stores small files of a point in slots of metadata packs. */
export async function storeFiles(
  contents: ReadonlyMap<string, Uint8Array>,
  metadata: MetadataWriter,
  numbers: PackNumbers,
  signal: AbortSignal,
): Promise<PointDocument['files']> {
  const files: PointDocument['files'] = [];
  for (const [name, content] of contents) {
    const slots: PointDocument['files'][number]['slots'] = [];
    for (let at = 0; at < content.length; at += METADATA_FRAME_BYTES) {
      const piece = content.subarray(at, at + METADATA_FRAME_BYTES);
      const pointer = await metadata.add(piece, signal);
      slots.push({ ...pointerDocument(pointer, numbers), bytes: piece.length });
    }
    files.push({ name, sizeBytes: content.length, slots });
  }
  return files;
}

/** Reads a small file of a point. @throws Fault `vault.map-corrupt` */
export async function readPointFile(
  { name, sizeBytes, slots }: PointDocument['files'][number],
  nodes: MapNodes,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (const slot of slots) {
    pieces.push(await nodes.read(nodePointer(slot, nodes.base.numbers), signal));
  }
  const content = Buffer.concat(pieces);
  if (content.length !== sizeBytes) {
    throw new Fault(
      'vault.map-corrupt',
      `The file ${name} of the point has ${content.length} bytes and should have ${sizeBytes}. It was not restored; verify tells whether other points have it whole.`,
      { name },
    );
  }
  return content;
}
