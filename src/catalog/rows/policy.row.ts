import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';

/** A policy that is in force; what it says is its newest revision. */
@Entity('policy')
@Index('policy_name', ['name'], { unique: true })
export class PolicyRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'policy_pkey' })
  id!: string;

  @Column('text')
  name!: string;

  /** Number of the newest revision. */
  @Column('integer')
  revision!: number;

  /** A paused policy has no fire times. */
  @Column('boolean')
  paused!: boolean;

  /** All fire times up to here have their runs. */
  @Column('bigint', { name: 'horizon_ms', transformer: bigintColumn })
  horizonMs!: number;
}
