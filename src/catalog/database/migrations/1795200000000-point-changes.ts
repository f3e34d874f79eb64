import type { MigrationInterface, QueryRunner } from 'typeorm';

export class PointChanges1795200000000 implements MigrationInterface {
  readonly name = 'PointChanges1795200000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SEQUENCE "point_change" AS bigint;
      ALTER TABLE "recovery_point" ADD COLUMN "changed" bigint NOT NULL DEFAULT 0;
      ALTER TABLE "recovery_point" ALTER COLUMN "changed" DROP DEFAULT;
      ALTER TABLE "vault" ADD COLUMN "listed" bigint NOT NULL DEFAULT 0;
      ALTER TABLE "vault" ALTER COLUMN "listed" DROP DEFAULT;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE "vault" DROP COLUMN "listed";
      ALTER TABLE "recovery_point" DROP COLUMN "changed";
      DROP SEQUENCE "point_change";
    `);
  }
}
