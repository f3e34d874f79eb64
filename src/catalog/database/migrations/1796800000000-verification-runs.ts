import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Verifications that the service begins by itself, and who checked a point last. */
export class VerificationRuns1796800000000 implements MigrationInterface {
  readonly name = 'VerificationRuns1796800000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "verification_run" (
        "id" uuid NOT NULL,
        "key" text NOT NULL,
        "vault_id" text NOT NULL,
        "vm_id" text NOT NULL,
        "vm_name" text NOT NULL,
        "point_id" text NOT NULL,
        "policy_id" uuid,
        "policy_name" text,
        "level" integer NOT NULL,
        "due_at_ms" bigint NOT NULL,
        "state" text NOT NULL,
        "why" text,
        "attempt" integer NOT NULL,
        "next_try_at_ms" bigint NOT NULL,
        "host_id" uuid,
        "job_id" uuid,
        "fault" jsonb,
        "ended_at_ms" bigint,
        CONSTRAINT "verification_run_pkey" PRIMARY KEY ("id")
      );
      CREATE UNIQUE INDEX "verification_run_once" ON "verification_run" ("key");
      CREATE UNIQUE INDEX "verification_run_open" ON "verification_run" ("policy_id", "vm_id")
        WHERE policy_id IS NOT NULL AND state IN ('due', 'running');
      CREATE INDEX "verification_run_unfinished" ON "verification_run" ("due_at_ms", "id")
        WHERE state IN ('due', 'running');
      ALTER TABLE "point_proof"
        ADD COLUMN "checked_at_ms" bigint,
        ADD COLUMN "checked_level" integer,
        ADD COLUMN "checked_added_level" integer,
        ADD COLUMN "checked_by" text;
      ALTER TABLE "vault" ADD COLUMN "destroying_at_ms" bigint;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE "verification_run";
      ALTER TABLE "point_proof"
        DROP COLUMN "checked_at_ms",
        DROP COLUMN "checked_level",
        DROP COLUMN "checked_added_level",
        DROP COLUMN "checked_by";
      ALTER TABLE "vault" DROP COLUMN "destroying_at_ms";
    `);
  }
}
