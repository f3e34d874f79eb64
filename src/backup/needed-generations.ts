import type { PointOfVault } from '../catalog/point-catalog.ts';

/**
 * The oldest generation of each disk's change log that the next incremental into some vault starts
 * from: the smallest one of the vaults' newest points. A generation of an earlier tracking id
 * counts too; it can only keep more than is needed.
 *
 * @param newest the newest recovery point of the VM in each vault that has one
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
