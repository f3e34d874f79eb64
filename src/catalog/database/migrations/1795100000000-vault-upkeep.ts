import type { MigrationInterface, QueryRunner } from 'typeorm';

export class VaultUpkeep1795100000000 implements MigrationInterface {
  readonly name = 'VaultUpkeep1795100000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE "recovery_point" ADD COLUMN "holds" jsonb NOT NULL DEFAULT '[]';
      ALTER TABLE "recovery_point" ALTER COLUMN "holds" DROP DEFAULT;
      CREATE TABLE "point_proof" (
        "vault_id" text NOT NULL,
        "point_id" text NOT NULL,
        "verified_at_ms" bigint,
        "damaged_at_ms" bigint,
        "packs" integer,
        "proven_packs" integer,
        "damaged_packs" integer,
        "scrubbed_at_ms" bigint,
        CONSTRAINT "point_proof_pkey" PRIMARY KEY ("vault_id", "point_id")
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE "point_proof";
      ALTER TABLE "recovery_point" DROP COLUMN "holds";
    `);
  }
}
