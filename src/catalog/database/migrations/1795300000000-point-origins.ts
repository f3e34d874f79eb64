import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The next listing of each vault fills the columns. */
export class PointOrigins1795300000000 implements MigrationInterface {
  readonly name = 'PointOrigins1795300000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE "recovery_point"
        ADD COLUMN "origin_kind" text,
        ADD COLUMN "origin_service" text,
        ADD COLUMN "policy_name" text,
        ADD COLUMN "run_id" text,
        ADD COLUMN "group_id" text;
      CREATE INDEX "recovery_point_run" ON "recovery_point" ("run_id") WHERE run_id IS NOT NULL;
      CREATE INDEX "recovery_point_policy" ON "recovery_point" ("policy_name", "vm_id")
        WHERE policy_name IS NOT NULL;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP INDEX "recovery_point_policy";
      DROP INDEX "recovery_point_run";
      ALTER TABLE "recovery_point"
        DROP COLUMN "group_id",
        DROP COLUMN "run_id",
        DROP COLUMN "policy_name",
        DROP COLUMN "origin_service",
        DROP COLUMN "origin_kind";
    `);
  }
}
