import type { MigrationInterface, QueryRunner } from 'typeorm';

export class FirstTables1795000000000 implements MigrationInterface {
  readonly name = 'FirstTables1795000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "vault" (
        "id" text NOT NULL,
        "name" text NOT NULL,
        "location" text NOT NULL,
        "endpoint" text,
        "region" text,
        "single_writer" boolean NOT NULL,
        "created_at_ms" bigint NOT NULL,
        "synced_at_ms" bigint,
        CONSTRAINT "vault_pkey" PRIMARY KEY ("id")
      );
      CREATE UNIQUE INDEX "vault_name" ON "vault" ("name");
      CREATE TABLE "recovery_point" (
        "vault_id" text NOT NULL,
        "id" text NOT NULL,
        "vm_id" text NOT NULL,
        "vm_name" text NOT NULL,
        "taken_at_ms" bigint NOT NULL,
        "point" jsonb NOT NULL,
        CONSTRAINT "recovery_point_pkey" PRIMARY KEY ("vault_id", "id")
      );
      CREATE INDEX "recovery_point_vm" ON "recovery_point" ("vm_id", "id");
      CREATE TABLE "job" (
        "id" uuid NOT NULL,
        "kind" text NOT NULL,
        "state" text NOT NULL,
        "exclusive_key" text,
        "subject" jsonb NOT NULL,
        "parameters" jsonb NOT NULL,
        "created_at_ms" bigint NOT NULL,
        "started_at_ms" bigint,
        "finished_at_ms" bigint,
        "progress" jsonb,
        "fault" jsonb,
        "result" jsonb,
        CONSTRAINT "job_pkey" PRIMARY KEY ("id")
      );
      CREATE INDEX "job_created" ON "job" ("created_at_ms");
      CREATE UNIQUE INDEX "job_exclusive" ON "job" ("exclusive_key")
        WHERE state IN ('queued', 'running');
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE "job"; DROP TABLE "recovery_point"; DROP TABLE "vault";`);
  }
}
