import type { PointProof, PointProofs } from '../catalog/point-proofs.ts';
import type { RetentionRows, StoredDecision } from '../catalog/retention-rows.ts';

/** What the database knows of a point beside what the point says. */
export interface KnownOfPoint {
  readonly proof: PointProof | undefined;
  readonly decision: StoredDecision | undefined;
}

interface PointOfVault {
  readonly vaultId: string;
  readonly pointId: string;
}

/** When points were proven, and what was decided about them. */
export class PointFacts {
  constructor(
    private readonly proofs: Pick<PointProofs, 'list'>,
    private readonly retention: Pick<RetentionRows, 'decisions'>,
  ) {}

  /** Returns what tells of each point what is known of it, of one vault or of all. */
  async read(vaultId?: string): Promise<(point: PointOfVault) => KnownOfPoint> {
    const proofs = new Map((await this.proofs.list()).map((proof) => [keyOf(proof), proof]));
    const decided = await this.retention.decisions(vaultId);
    const decisions = new Map(decided.map((decision) => [keyOf(decision), decision]));
    return (point) => ({
      proof: proofs.get(keyOf(point)),
      decision: decisions.get(keyOf(point)),
    });
  }
}

function keyOf({ vaultId, pointId }: PointOfVault): string {
  return `${vaultId} ${pointId}`;
}
