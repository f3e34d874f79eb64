import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A run belongs to the host of its VM. Of ended runs nobody knows where they were. */
export class RunHosts1796000000000 implements MigrationInterface {
  readonly name = 'RunHosts1796000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE "run" ADD COLUMN "host_id" uuid;
      UPDATE "run" SET "host_id" = "vm"."host_id" FROM "vm"
        WHERE "vm"."id" = "run"."vm_id" AND "state" IN ('due', 'queued', 'running');
      UPDATE "run" SET "state" = 'skipped', "why" = 'the VM is not known'
        WHERE "host_id" IS NULL AND "state" IN ('due', 'queued', 'running');
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE "run" DROP COLUMN "host_id"');
  }
}
