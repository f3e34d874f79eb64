import type { PointOfVault } from '../catalog/point-catalog.ts';

/**
 * Returns, for each disk, the oldest generation of its change log from which the next incremental
 * backup to some vault starts: the smallest one in the vaults' newest points. Generations of an
 * earlier tracking id count too; they can only keep more than is needed.
 *
 * @param newest the VM's newest recovery point in each vault that has one
 */
export function neededGenerations(newest: readonly PointOfVault[]): Record<string, number> {
  const needed: Record<string, number> = {};
  for (const { point } of newest) {
    for (const { diskId, tracking } of point.disks) {
      if (tracking !== undefined) {
        needed[diskId] = Math.min(needed[diskId] ?? Infinity, tracking.generation);
      }
    }
  }
  return needed;
}
