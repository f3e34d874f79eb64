import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Inventory1795400000000 implements MigrationInterface {
  readonly name = 'Inventory1795400000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "host" (
        "id" uuid NOT NULL,
        "name" text NOT NULL,
        "address" text,
        "version" text NOT NULL,
        "last_seen_ms" bigint NOT NULL,
        CONSTRAINT "host_pkey" PRIMARY KEY ("id")
      );
      CREATE TABLE "vm" (
        "id" text NOT NULL,
        "host_id" uuid NOT NULL,
        "engine" text NOT NULL,
        "name" text NOT NULL,
        "status" text NOT NULL,
        "tags" text[] NOT NULL,
        "first_seen_ms" bigint NOT NULL,
        "last_seen_ms" bigint NOT NULL,
        "gone_at_ms" bigint,
        CONSTRAINT "vm_pkey" PRIMARY KEY ("id")
      );
      CREATE INDEX "vm_host" ON "vm" ("host_id");
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE "vm"; DROP TABLE "host"');
  }
}
