import type { DataSource } from 'typeorm';

/** A VM and a vault that should have points of it. */
export interface VmInVault {
  readonly vmId: string;
  readonly vaultId: string;
}

export interface NewestPoint extends VmInVault {
  readonly pointId: string;
  readonly takenAtMs: number;
}

/** How fresh VMs are in vaults, for many VMs at once. */
export class NewestPoints {
  constructor(private readonly source: DataSource) {}

  /**
   * Returns the newest point of each VM in its vault, if there is one.
   *
   * @param untilMs points with a later time are left out: a clock that was ahead once would make
   *   the VM look fresh for ever
   */
  async of(pairs: readonly VmInVault[], untilMs: number): Promise<NewestPoint[]> {
    const rows = await this.source.query<Record<'vm' | 'vault' | 'id' | 'taken', string>[]>(
      `SELECT "pair"."vm", "pair"."vault", "newest"."id", "newest"."taken_at_ms" AS "taken"
         FROM unnest($1::text[], $2::text[]) AS "pair" ("vm", "vault")
        CROSS JOIN LATERAL (
          SELECT "id", "taken_at_ms" FROM "recovery_point"
           WHERE "vm_id" = "pair"."vm" AND "vault_id" = "pair"."vault" AND "taken_at_ms" <= $3
           ORDER BY "id" DESC LIMIT 1
        ) AS "newest"`,
      [pairs.map(({ vmId }) => vmId), pairs.map(({ vaultId }) => vaultId), untilMs],
    );
    return rows.map(({ vm, vault, id, taken }) => ({
      vmId: vm,
      vaultId: vault,
      pointId: id,
      takenAtMs: Number(taken),
    }));
  }
}
