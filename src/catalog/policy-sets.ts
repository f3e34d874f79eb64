import type { DataSource } from 'typeorm';
import { pointSets, type PointSet } from '../vault/retention/point-sets.ts';

/** More than the newest sets of the largest group have together. */
const POINTS_MAX = 1024;

interface Row {
  readonly id: string;
  readonly vm: string;
  readonly taken: string;
  readonly group: string;
  readonly members: string[] | null;
}

/** Sets of points that policies took at one moment each. */
export class PolicySets {
  constructor(private readonly source: DataSource) {}

  /** Returns the newest sets of a policy in a vault, oldest first. */
  async newest(policyName: string, vaultId: string): Promise<PointSet[]> {
    const rows = await this.source.query<Row[]>(
      `SELECT "id", "vm_id" AS "vm", "taken_at_ms" AS "taken", "group_id" AS "group",
              "point"->'origin'->'members' AS "members"
         FROM "recovery_point"
        WHERE "policy_name" = $1 AND "vault_id" = $2 AND "group_id" IS NOT NULL
        ORDER BY "id" DESC LIMIT $3`,
      [policyName, vaultId, POINTS_MAX],
    );
    return pointSets(
      rows.reverse().map(({ id, vm, taken, group, members }) => ({
        ...{ id, vmId: vm, takenAtMs: Number(taken) },
        origin: { group, ...(members && { members }) },
      })),
    );
  }
}
