import type { ListedPoint } from '../catalog/point-catalog.ts';
import type { PointProof } from '../catalog/point-proofs.ts';
import type { StoredDecision } from '../catalog/retention-rows.ts';
import { PointKeeping } from './contract/policy/retention.ts';
import type { Point } from './contract/points.ts';
import type { KnownOfPoint } from './point-facts.ts';

/** Returns a recovery point in the form of the contract. */
export function viewOfPoint(
  { vaultId, point, holds }: ListedPoint,
  vaultNames: ReadonlyMap<string, string>,
  known: KnownOfPoint,
): Point {
  const { id, vmId, vmName, takenAtMs, parentId, consistency, notes, disks, origin } = point;
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
    ...proofOf(known.proof),
    ...keepingOf(known.decision),
    holds,
    ...(origin === undefined ? {} : { origin }),
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

function proofOf(
  proof: PointProof | undefined,
): Pick<Point, 'provenAtMs' | 'damagedAtMs' | 'scrub'> {
  if (proof === undefined) {
    return {};
  }
  const { provenAtMs, damagedAtMs, scrub } = proof;
  return {
    ...(provenAtMs === undefined ? {} : { provenAtMs }),
    ...(damagedAtMs === undefined ? {} : { damagedAtMs }),
    ...(scrub === undefined ? {} : { scrub }),
  };
}

function keepingOf(decision: StoredDecision | undefined): Pick<Point, 'keeping'> {
  const keeping = decision && PointKeeping.safeParse(decision).data;
  return keeping === undefined ? {} : { keeping };
}
