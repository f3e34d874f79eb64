import type { MigrationInterface, QueryRunner } from 'typeorm';

export class RunActors1795800000000 implements MigrationInterface {
  readonly name = 'RunActors1795800000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE "run" ADD COLUMN "actor" text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE "run" DROP COLUMN "actor"');
  }
}
