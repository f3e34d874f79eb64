import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Policies1795500000000 implements MigrationInterface {
  readonly name = 'Policies1795500000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "policy" (
        "id" uuid NOT NULL,
        "name" text NOT NULL,
        "revision" integer NOT NULL,
        "paused" boolean NOT NULL,
        "horizon_ms" bigint NOT NULL,
        CONSTRAINT "policy_pkey" PRIMARY KEY ("id")
      );
      CREATE UNIQUE INDEX "policy_name" ON "policy" ("name");
      CREATE TABLE "policy_revision" (
        "policy_id" uuid NOT NULL,
        "number" integer NOT NULL,
        "change" text NOT NULL,
        "document" jsonb NOT NULL,
        "author" text NOT NULL,
        "at_ms" bigint NOT NULL,
        CONSTRAINT "policy_revision_pkey" PRIMARY KEY ("policy_id", "number")
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE "policy_revision";
      DROP TABLE "policy";
    `);
  }
}
