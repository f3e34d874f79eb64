import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Suspicion1796500000000 implements MigrationInterface {
  readonly name = 'Suspicion1796500000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "suspicion" (
        "vault_id" text NOT NULL,
        "vm_id" text NOT NULL,
        "point_id" text NOT NULL,
        "vm_name" text NOT NULL,
        "at_ms" bigint NOT NULL,
        "since_id" text NOT NULL,
        "clean_id" text,
        "signals" jsonb NOT NULL,
        "hold_key" text,
        "hold_problem" text,
        "cleared_at_ms" bigint,
        "cleared_by" text,
        "note" text,
        "answered_id" text,
        CONSTRAINT "suspicion_pkey" PRIMARY KEY ("vault_id", "vm_id", "point_id")
      );
      CREATE UNIQUE INDEX "suspicion_open" ON "suspicion" ("vault_id", "vm_id")
        WHERE cleared_at_ms IS NULL;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE "suspicion"');
  }
}
