import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ScheduleState1795900000000 implements MigrationInterface {
  readonly name = 'ScheduleState1795900000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE "schedule_state" (
        "only" boolean NOT NULL,
        "known_from_ms" bigint NOT NULL,
        CONSTRAINT "schedule_state_pkey" PRIMARY KEY ("only")
      );
    `);
    // Of what was before this database nothing is known.
    await runner.query(
      'INSERT INTO "schedule_state" VALUES (true, extract(epoch FROM clock_timestamp()) * 1000)',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE "schedule_state"');
  }
}
