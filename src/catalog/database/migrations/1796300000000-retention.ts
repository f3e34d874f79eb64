import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Retention1796300000000 implements MigrationInterface {
  readonly name = 'Retention1796300000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "point_decision" (
        "vault_id" text NOT NULL,
        "point_id" text NOT NULL,
        "vm_id" text NOT NULL,
        "keep" boolean NOT NULL,
        "because" jsonb NOT NULL,
        "decided_at_ms" bigint NOT NULL,
        CONSTRAINT "point_decision_pkey" PRIMARY KEY ("vault_id", "point_id")
      );
      CREATE TABLE "point_owner" (
        "vault_id" text NOT NULL,
        "point_id" text NOT NULL,
        "policy_name" text NOT NULL,
        "author" text NOT NULL,
        "at_ms" bigint NOT NULL,
        CONSTRAINT "point_owner_pkey" PRIMARY KEY ("vault_id", "point_id")
      );
      CREATE TABLE "carried_revision" (
        "policy_id" uuid NOT NULL,
        "vault_id" text NOT NULL,
        "revision" integer NOT NULL,
        "author" text NOT NULL,
        "at_ms" bigint NOT NULL,
        CONSTRAINT "carried_revision_pkey" PRIMARY KEY ("policy_id", "vault_id")
      );
      CREATE TABLE "retention_look" (
        "vault_id" text NOT NULL,
        "at_ms" bigint NOT NULL,
        "newest_point_id" text,
        "report" jsonb,
        CONSTRAINT "retention_look_pkey" PRIMARY KEY ("vault_id")
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE "retention_look", "carried_revision", "point_owner", "point_decision"',
    );
  }
}
