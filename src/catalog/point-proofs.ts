import type { DataSource } from 'typeorm';
import type { LastProven } from '../vault/checks/last-proven.ts';
import { PointProofRow } from './rows/point-proof.row.ts';

/** Who verified a point, when, and how far. */
export interface PointCheck {
  readonly atMs: number;
  /** Name of the host. */
  readonly by: string;
  /** What was proven of the whole point, unless it was found damaged; undefined: not so far. */
  readonly level?: number;
  /** What was proven beyond that of what the point added to the vault. */
  readonly addedLevel?: number;
}

export interface DamagedPoint {
  readonly vaultId: string;
  readonly vmId: string;
  readonly vmName: string;
  readonly pointId: string;
  readonly atMs: number;
}

const DAMAGED = `
  SELECT "point"."vault_id" AS "vault", "point"."vm_id" AS "vm", "point"."vm_name" AS "name",
         "point"."id" AS "point", "proof"."damaged_at_ms" AS "at"
    FROM "point_proof" AS "proof"
    JOIN "recovery_point" AS "point"
      ON "point"."vault_id" = "proof"."vault_id" AND "point"."id" = "proof"."point_id"
   WHERE "proof"."damaged_at_ms"
           >= greatest("proof"."verified_at_ms", "proof"."scrubbed_at_ms", 0)
   ORDER BY "point"."id"`;

/** When a recovery point was last known whole, and what was found since. */
export interface PointProof {
  readonly vaultId: string;
  readonly pointId: string;
  /** The later of the last verification of all its content and the oldest scrub of its packs. */
  readonly provenAtMs?: number;
  /** When a verification found it damaged, if it was not found whole since. */
  readonly damagedAtMs?: number;
  /** The last verification, whatever it found. */
  readonly check?: PointCheck;
  /** How far scrubs have come. */
  readonly scrub?: Pick<LastProven, 'packs' | 'proven' | 'damaged'>;
}

const KEY = ['vaultId', 'pointId'];
/** From this level on all content is read. */
const CONTENT_LEVEL = 2;

/** What verifications and scrubs by the hosts of this database found out about recovery points. */
export class PointProofs {
  constructor(private readonly source: DataSource) {}

  async list(): Promise<PointProof[]> {
    return (await this.source.getRepository(PointProofRow).find()).map(fromRow);
  }

  /** Notes a verification that found nothing wrong. */
  async verified(vaultId: string, pointId: string, check: PointCheck): Promise<void> {
    const isAll = check.level !== undefined && check.level >= CONTENT_LEVEL;
    const content = isAll ? { verifiedAtMs: check.atMs, damagedAtMs: null } : {};
    await this.put({ vaultId, pointId, ...columnsOf(check), ...content });
  }

  async damaged(vaultId: string, pointId: string, check: PointCheck): Promise<void> {
    await this.put({ vaultId, pointId, ...columnsOf(check), damagedAtMs: check.atMs });
  }

  async scrubbed(vaultId: string, pointId: string, proof: LastProven): Promise<void> {
    const { packs, proven, damaged, oldestMs } = proof;
    const scrubbedAtMs = oldestMs ?? null;
    const counts = { packs, provenPacks: proven, damagedPacks: damaged };
    await this.put({ vaultId, pointId, ...counts, scrubbedAtMs });
  }

  /** Lists points that a verification found damaged and none has found whole since. */
  async damagedPoints(): Promise<DamagedPoint[]> {
    const rows =
      await this.source.query<Record<'vault' | 'vm' | 'name' | 'point' | 'at', string>[]>(DAMAGED);
    return rows.map(({ vault, vm, name, point, at }) => ({
      ...{ vaultId: vault, vmId: vm, vmName: name, pointId: point, atMs: Number(at) },
    }));
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
    ...checkOf(row),
    ...(packs === null
      ? {}
      : { scrub: { packs, proven: provenPacks ?? 0, damaged: damagedPacks ?? 0 } }),
  };
}

function columnsOf({ atMs, by, level, addedLevel }: PointCheck): Partial<PointProofRow> {
  return {
    ...{ checkedAtMs: atMs, checkedBy: by },
    ...{ checkedLevel: level ?? null, checkedAddedLevel: addedLevel ?? null },
  };
}

function checkOf(row: PointProofRow): { check?: PointCheck } {
  const { checkedAtMs, checkedBy, checkedLevel, checkedAddedLevel } = row;
  if (checkedAtMs === null) {
    return {};
  }
  return {
    check: {
      ...{ atMs: checkedAtMs, by: checkedBy ?? '' },
      ...(checkedLevel === null ? {} : { level: checkedLevel }),
      ...(checkedAddedLevel === null ? {} : { addedLevel: checkedAddedLevel }),
    },
  };
}
