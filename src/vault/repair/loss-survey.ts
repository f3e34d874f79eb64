import type { Extent } from '../../disk/extent.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { FrameFetcher } from '../tasks/frame-fetcher.ts';
import { LEAF_BYTES } from '../maps/map-node.ts';
import { MapTree } from '../maps/map-tree.ts';
import { mapRoot } from '../points/point-maps.ts';
import { DamagedSlots } from '../damage/damaged-slots.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { VaultInside } from '../vault-inside.ts';
import { orLost, Losses } from '../damage/losses.ts';
import { lossyLeafContents } from '../damage/lossy-map.ts';

/** What is known to be lost of a disk. */
export interface DiskLoss {
  readonly diskId: string;
  readonly name: string;
  readonly bytes: number;
  readonly ranges: readonly Extent[];
}

/**
 * Returns what cannot be restored of a point, as far as that shows without reading the content:
 * packs and maps that are missing, slots listed in `bad/`, and frames that this process found
 * damaged.
 */
export async function surveyLoss(
  inside: VaultInside,
  point: RecoveryPoint,
  signal: AbortSignal,
): Promise<DiskLoss[]> {
  const { base, nodes, log, packs, pool } = inside;
  const damaged = new DamagedSlots(base, log);
  await damaged.read(signal);
  const fetcher = new FrameFetcher(packs, pool, true);
  const { document } = await inside.points.load(point, signal);
  const found: DiskLoss[] = [];
  for (const disk of document.disks) {
    const losses = new Losses();
    const tree = new MapTree(nodes, mapRoot(disk, base.numbers));
    for await (const { index, fragments } of lossyLeafContents(tree, losses, signal)) {
      for (const fragment of fragments) {
        const { start, sectors, pack, slot } = fragment;
        const offset = index * LEAF_BYTES + start * SECTOR_BYTES;
        const length = Math.min(sectors * SECTOR_BYTES, disk.sizeBytes - offset);
        const isDamaged = damaged.has(base.numbers.name(pack).ulid, slot);
        await orLost(losses, { offset, length }, async () =>
          isDamaged
            ? packs.withSlot(fragment, signal, async (placed) => fetcher.slot(placed, signal))
            : packs.place(fragment, signal),
        );
      }
    }
    if (!losses.isEmpty) {
      const { bytes, ranges } = losses;
      found.push({ diskId: disk.diskId, name: disk.name, bytes, ranges });
    }
  }
  return found;
}
