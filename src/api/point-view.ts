import { pointSets, type PointSet } from '../vault/retention/point-sets.ts';
import type { ListedPoint, PointOfVault } from '../catalog/point-catalog.ts';
import type { PointProof } from '../catalog/point-proofs.ts';
import type { StoredDecision } from '../catalog/retention-rows.ts';
import { PointKeeping } from './contract/policy/retention.ts';
import type { Point } from './contract/points.ts';
import type { KnownOfPoint } from './point-facts.ts';

/** Sets by vault and group. */
export type SetsOfPoints = ReadonlyMap<string, Pick<PointSet, 'isComplete' | 'missing'>>;

/** Returns the sets of vaults. @param points all points of each vault that has one in it */
export function setsOfPoints(points: readonly PointOfVault[]): SetsOfPoints {
  const byVault = Map.groupBy(points, ({ vaultId }) => vaultId);
  return new Map(
    [...byVault].flatMap(([vaultId, own]) =>
      pointSets(own.map(({ point }) => point)).map((set) => [setKey(vaultId, set.groupId), set]),
    ),
  );
}

/** What the view of a point has beside the point. */
export interface AroundPoint {
  readonly vaultNames: ReadonlyMap<string, string>;
  readonly known: KnownOfPoint;
  readonly sets: SetsOfPoints;
}

/** Returns a recovery point in the form of the contract. */
export function viewOfPoint(
  { vaultId, point, holds }: ListedPoint,
  { vaultNames, known, sets }: AroundPoint,
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
    ...setOf(sets.get(setKey(vaultId, origin?.group ?? ''))),
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

function setKey(vaultId: string, groupId: string): string {
  return `${vaultId} ${groupId}`;
}

function setOf(set: Pick<PointSet, 'isComplete' | 'missing'> | undefined): Pick<Point, 'set'> {
  return set === undefined ? {} : { set: { isComplete: set.isComplete, missing: set.missing } };
}

function proofOf(
  proof: PointProof | undefined,
): Pick<Point, 'provenAtMs' | 'damagedAtMs' | 'check' | 'scrub'> {
  if (proof === undefined) {
    return {};
  }
  const { provenAtMs, damagedAtMs, check, scrub } = proof;
  return {
    ...(provenAtMs === undefined ? {} : { provenAtMs }),
    ...(damagedAtMs === undefined ? {} : { damagedAtMs }),
    ...(check === undefined ? {} : { check }),
    ...(scrub === undefined ? {} : { scrub }),
  };
}

function keepingOf(decision: StoredDecision | undefined): Pick<Point, 'keeping'> {
  const keeping = decision && PointKeeping.safeParse(decision).data;
  return keeping === undefined ? {} : { keeping };
}
