import type { DataSource } from 'typeorm';
import type { LastProven } from '../vault/checks/last-proven.ts';
import { PointProofRow } from './rows/point-proof.row.ts';

/** When a recovery point was last known whole, and what was found since. */
export interface PointProof {
  readonly vaultId: string;
  readonly pointId: string;
  /** The later of the last verification of all its content and the oldest scrub of its packs. */
  readonly provenAtMs?: number;
  /** When a verification found it damaged, if it was not found whole since. */
  readonly damagedAtMs?: number;
  /** How far scrubs have come. */
  readonly scrub?: Pick<LastProven, 'packs' | 'proven' | 'damaged'>;
}

const KEY = ['vaultId', 'pointId'];

/** What verifications and scrubs by the hosts of this database found out about recovery points. */
export class PointProofs {
  constructor(private readonly source: DataSource) {}

  async list(): Promise<PointProof[]> {
    return (await this.source.getRepository(PointProofRow).find()).map(fromRow);
  }

  /** Notes that a verification read all content of the point and found it whole. */
  async verified(vaultId: string, pointId: string, verifiedAtMs: number): Promise<void> {
    await this.put({ vaultId, pointId, verifiedAtMs, damagedAtMs: null });
  }

  async damaged(vaultId: string, pointId: string, damagedAtMs: number): Promise<void> {
    await this.put({ vaultId, pointId, damagedAtMs });
  }

  async scrubbed(vaultId: string, pointId: string, proof: LastProven): Promise<void> {
    const { packs, proven, damaged, oldestMs } = proof;
    const scrubbedAtMs = oldestMs ?? null;
    const counts = { packs, provenPacks: proven, damagedPacks: damaged };
    await this.put({ vaultId, pointId, ...counts, scrubbedAtMs });
  }

  /** Forgets points that no longer exist. */
  async keep(vaultId: string, pointIds: readonly string[]): Promise<void> {
    const rows = this.source.getRepository(PointProofRow);
    const there = new Set(pointIds);
    for (const { pointId } of await rows.findBy({ vaultId })) {
      if (!there.has(pointId)) {
        await rows.delete({ vaultId, pointId });
      }
    }
  }

  private async put(row: Partial<PointProofRow>): Promise<void> {
    await this.source.getRepository(PointProofRow).upsert(row, KEY);
  }
}

function fromRow(row: PointProofRow): PointProof {
  const { vaultId, pointId, verifiedAtMs, damagedAtMs, scrubbedAtMs } = row;
  const provenAtMs = Math.max(verifiedAtMs ?? 0, scrubbedAtMs ?? 0);
  const { packs, provenPacks, damagedPacks } = row;
  return {
    vaultId,
    pointId,
    ...(provenAtMs === 0 ? {} : { provenAtMs }),
    ...(damagedAtMs === null || damagedAtMs < provenAtMs ? {} : { damagedAtMs }),
    ...(packs === null
      ? {}
      : { scrub: { packs, proven: provenPacks ?? 0, damaged: damagedPacks ?? 0 } }),
  };
}
