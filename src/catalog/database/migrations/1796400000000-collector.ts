import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Collector1796400000000 implements MigrationInterface {
  readonly name = 'Collector1796400000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "collector_point" (
        "vault_id" text NOT NULL,
        "vm_id" text NOT NULL,
        "point_id" text NOT NULL,
        "since_ms" bigint NOT NULL,
        "stored_ms" bigint,
        "mac" text NOT NULL,
        "origin_kind" text NOT NULL,
        "origin_service" text,
        "in_doubt_ms" bigint,
        "given_up_ms" bigint,
        CONSTRAINT "collector_point_pkey" PRIMARY KEY ("vault_id", "vm_id", "point_id")
      );
      CREATE TABLE "collector_sequence" (
        "vault_id" text NOT NULL,
        "service" text NOT NULL,
        "sequence" bigint NOT NULL,
        CONSTRAINT "collector_sequence_pkey" PRIMARY KEY ("vault_id", "service")
      );
      ALTER TABLE "vault" ADD "can_give_up" boolean;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE "collector_point";
      DROP TABLE "collector_sequence";
      ALTER TABLE "vault" DROP COLUMN "can_give_up";
    `);
  }
}
