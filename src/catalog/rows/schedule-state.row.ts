import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';

/** What is known of schedules as a whole: one row. */
@Entity('schedule_state')
export class ScheduleStateRow {
  @PrimaryColumn('boolean', { primaryKeyConstraintName: 'schedule_state_pkey' })
  only!: boolean;

  /** Runs whose fire time is later have a row here, if a host of this database made them. */
  @Column('bigint', { name: 'known_from_ms', transformer: bigintColumn })
  knownFromMs!: number;
}
