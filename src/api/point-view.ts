import type { PointOfVault } from '../catalog/point-catalog.ts';
import type { Point } from './contract/points.ts';

/** A recovery point as the contract shows it. */
export function viewOfPoint(
  { vaultId, point }: PointOfVault,
  vaultNames: ReadonlyMap<string, string>,
): Point {
  const { id, vmId, vmName, takenAtMs, parentId, consistency, notes, disks } = point;
  return {
    id,
    vaultId,
    vaultName: vaultNames.get(vaultId) ?? vaultId,
    vmId,
    vmName,
    takenAtMs,
    ...(parentId === undefined ? {} : { parentId }),
    consistency,
    notes: [...notes],
    disks: disks.map(({ diskId, name, sizeBytes, method, reason, statistics }) => ({
      diskId,
      name,
      sizeBytes,
      method,
      ...(reason === undefined ? {} : { reason }),
      readBytes: statistics.readBytes,
      newBytes: statistics.newBytes,
      storedBytes: statistics.storedBytes,
    })),
  };
}
