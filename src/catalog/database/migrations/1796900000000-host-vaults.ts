import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Hosts say of which vaults they have the key. Each says so soon after its start. */
export class HostVaults1796900000000 implements MigrationInterface {
  readonly name = 'HostVaults1796900000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE "host" ADD COLUMN "vaults" jsonb NOT NULL DEFAULT '{}'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE "host" DROP COLUMN "vaults"');
  }
}
