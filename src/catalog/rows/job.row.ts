import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';
import { storableColumn } from '../database/storable.ts';

/** One run of an operation. jobs/job.ts explains its JSON. */
@Entity('job')
@Index('job_created', ['createdAtMs'])
@Index('job_exclusive', ['exclusiveKey'], {
  unique: true,
  where: "state IN ('queued', 'running')",
})
export class JobRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'job_pkey' })
  id!: string;

  @Column('text')
  kind!: string;

  @Column('text')
  state!: string;

  /** Only one unfinished job can have this key. */
  @Column('text', { name: 'exclusive_key', nullable: true })
  exclusiveKey!: string | null;

  /** Names and ids of what the job works on, for lists. */
  @Column('jsonb', { transformer: storableColumn })
  subject!: Readonly<Record<string, string>>;

  @Column('jsonb', { transformer: storableColumn })
  parameters!: unknown;

  /** On whose behalf it runs; null for jobs of older versions. */
  @Column('text', { nullable: true })
  actor!: string | null;

  @Column('bigint', { name: 'created_at_ms', transformer: bigintColumn })
  createdAtMs!: number;

  @Column('bigint', { name: 'started_at_ms', nullable: true, transformer: bigintColumn })
  startedAtMs!: number | null;

  @Column('bigint', { name: 'finished_at_ms', nullable: true, transformer: bigintColumn })
  finishedAtMs!: number | null;

  @Column('jsonb', { nullable: true, transformer: storableColumn })
  progress!: unknown;

  @Column('jsonb', { nullable: true, transformer: storableColumn })
  fault!: unknown;

  @Column('jsonb', { nullable: true, transformer: storableColumn })
  result!: unknown;
}
