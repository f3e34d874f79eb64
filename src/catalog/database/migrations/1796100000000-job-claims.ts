import type { MigrationInterface, QueryRunner } from 'typeorm';

export class JobClaims1796100000000 implements MigrationInterface {
  readonly name = 'JobClaims1796100000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE "job" ADD COLUMN "lane" text NOT NULL DEFAULT 'data';
      ALTER TABLE "job" ADD COLUMN "priority" integer NOT NULL DEFAULT 0;
      ALTER TABLE "job" ADD COLUMN "host_id" uuid;
      ALTER TABLE "job" ADD COLUMN "claimed_by" uuid;
      ALTER TABLE "job" ADD COLUMN "token" uuid;
      ALTER TABLE "job" ADD COLUMN "lease_until_ms" bigint;
      ALTER TABLE "job" ADD COLUMN "lease_ms" integer;
      ALTER TABLE "job" ADD COLUMN "cancel_requested" boolean NOT NULL DEFAULT false;
      CREATE INDEX "job_unfinished" ON "job" ("state", "lane")
        WHERE state IN ('queued', 'running');
      CREATE TABLE "job_gate" (
        "only" boolean NOT NULL,
        CONSTRAINT "job_gate_pkey" PRIMARY KEY ("only")
      );
      INSERT INTO "job_gate" VALUES (true);
    `);
    // Nobody hands out what an earlier version left, and it was never more than interrupted.
    await runner.query(`
      UPDATE "job" SET "state" = 'interrupted', "fault" = jsonb_build_object(
        'code', 'job.interrupted',
        'message', 'The service was replaced while this waited or ran. Start it again; nothing is sent twice.',
        'context', '{}'::jsonb)
      WHERE "state" IN ('queued', 'running')
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE "job_gate";
      DROP INDEX "job_unfinished";
      ALTER TABLE "job" DROP COLUMN "cancel_requested", DROP COLUMN "lease_ms",
        DROP COLUMN "lease_until_ms", DROP COLUMN "token", DROP COLUMN "claimed_by",
        DROP COLUMN "host_id", DROP COLUMN "priority", DROP COLUMN "lane";
    `);
  }
}
