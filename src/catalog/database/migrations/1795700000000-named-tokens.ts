import type { MigrationInterface, QueryRunner } from 'typeorm';

export class NamedTokens1795700000000 implements MigrationInterface {
  readonly name = 'NamedTokens1795700000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "api_token" (
        "id" uuid NOT NULL,
        "name" text NOT NULL,
        "digest" text NOT NULL,
        "scope" text NOT NULL,
        "author" text NOT NULL,
        "created_at_ms" bigint NOT NULL,
        "expires_at_ms" bigint,
        "used_at_ms" bigint,
        CONSTRAINT "api_token_pkey" PRIMARY KEY ("id")
      );
      CREATE UNIQUE INDEX "api_token_name" ON "api_token" ("name");
      CREATE UNIQUE INDEX "api_token_digest" ON "api_token" ("digest");
      ALTER TABLE "job" ADD COLUMN "actor" text;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE "job" DROP COLUMN "actor";
      DROP TABLE "api_token";
    `);
  }
}
