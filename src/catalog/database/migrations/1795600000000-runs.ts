import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Runs1795600000000 implements MigrationInterface {
  readonly name = 'Runs1795600000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "run" (
        "id" uuid NOT NULL,
        "policy_id" uuid NOT NULL,
        "policy_name" text NOT NULL,
        "revision" integer NOT NULL,
        "vm_id" text NOT NULL,
        "vm_name" text NOT NULL,
        "fire_at_ms" bigint NOT NULL,
        "state" text NOT NULL,
        "why" text,
        "attempt" integer NOT NULL,
        "next_try_at_ms" bigint NOT NULL,
        "job_id" uuid,
        "fault" jsonb,
        "point_id" text,
        "vault_id" text,
        CONSTRAINT "run_pkey" PRIMARY KEY ("id")
      );
      CREATE UNIQUE INDEX "run_once" ON "run" ("policy_id", "vm_id", "fire_at_ms");
      CREATE INDEX "run_newest" ON "run" ("vm_id", "fire_at_ms");
      CREATE INDEX "run_unfinished" ON "run" ("fire_at_ms", "id")
        WHERE state IN ('due', 'queued', 'running');
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE "run"');
  }
}
