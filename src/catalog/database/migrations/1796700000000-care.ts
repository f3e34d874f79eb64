import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The care of vaults on schedule: what is wanted, what is due and what became of it. */
export class Care1796700000000 implements MigrationInterface {
  readonly name = 'Care1796700000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "care_revision" (
        "vault" text NOT NULL,
        "number" integer NOT NULL,
        "change" text NOT NULL,
        "document" jsonb NOT NULL,
        "author" text NOT NULL,
        "at_ms" bigint NOT NULL,
        CONSTRAINT "care_revision_pkey" PRIMARY KEY ("vault", "number")
      );
      CREATE TABLE "care_task" (
        "vault_id" text NOT NULL,
        "task" text NOT NULL,
        "schedule" text NOT NULL,
        "horizon_ms" bigint NOT NULL,
        "trouble" text,
        "trouble_code" text,
        "trouble_since_ms" bigint,
        "followed_at_ms" bigint,
        "followed_change" bigint,
        CONSTRAINT "care_task_pkey" PRIMARY KEY ("vault_id", "task")
      );
      CREATE TABLE "care_run" (
        "id" uuid NOT NULL,
        "vault_id" text NOT NULL,
        "vault_name" text NOT NULL,
        "task" text NOT NULL,
        "revision" integer NOT NULL,
        "fire_at_ms" bigint NOT NULL,
        "state" text NOT NULL,
        "why" text,
        "attempt" integer NOT NULL,
        "next_try_at_ms" bigint NOT NULL,
        "host_id" uuid,
        "declined" text[] NOT NULL,
        "job_id" uuid,
        "change" bigint,
        "fault" jsonb,
        "ended_at_ms" bigint,
        "actor" text,
        CONSTRAINT "care_run_pkey" PRIMARY KEY ("id")
      );
      CREATE UNIQUE INDEX "care_run_once" ON "care_run" ("vault_id", "task", "fire_at_ms");
      CREATE INDEX "care_run_unfinished" ON "care_run" ("fire_at_ms", "id")
        WHERE state IN ('due', 'queued', 'running');
      ALTER TABLE "vault" ADD COLUMN "locked" boolean;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE "vault" DROP COLUMN "locked";
      DROP TABLE "care_run";
      DROP TABLE "care_task";
      DROP TABLE "care_revision";
    `);
  }
}
