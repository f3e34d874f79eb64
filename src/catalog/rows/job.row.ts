import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';
import { storableColumn } from '../database/storable.ts';

/** One run of an operation. jobs/job.ts explains its JSON. */
@Entity('job')
@Index('job_created', ['createdAtMs'])
@Index('job_unfinished', ['state', 'lane'], { where: "state IN ('queued', 'running')" })
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

  /** Jobs of one lane share room, which those of others do not take. */
  @Column('text', { default: 'data' })
  lane!: string;

  /** Those with more start earlier in their lane. */
  @Column('integer', { default: 0 })
  priority!: number;

  /** The host that runs it; null: any host may. */
  @Column('uuid', { name: 'host_id', nullable: true })
  hostId!: string | null;

  /** The host whose service runs it, or ran it. */
  @Column('uuid', { name: 'claimed_by', nullable: true })
  claimedBy!: string | null;

  /** Of the claim: who has another one writes nothing here any more. */
  @Column('uuid', { nullable: true })
  token!: string | null;

  /** Changes while the claim is alive; by the clock of the host that has it. */
  @Column('bigint', { name: 'lease_until_ms', nullable: true, transformer: bigintColumn })
  leaseUntilMs!: number | null;

  /** For how long the lease is. */
  @Column('integer', { name: 'lease_ms', nullable: true })
  leaseMs!: number | null;

  /** Somebody elsewhere asked for its end. */
  @Column('boolean', { name: 'cancel_requested', default: false })
  cancelRequested!: boolean;

  /** Names and ids of what the job works on, for lists and for limits. */
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
