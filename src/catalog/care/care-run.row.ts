import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from '../rows/column.ts';

/** One task of the care of a vault at one fire time. */
@Entity('care_run')
@Index('care_run_once', ['vaultId', 'task', 'fireAtMs'], { unique: true })
@Index('care_run_unfinished', ['fireAtMs', 'id'], {
  where: "state IN ('due', 'queued', 'running')",
})
export class CareRunRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'care_run_pkey' })
  id!: string;

  @Column('text', { name: 'vault_id' })
  vaultId!: string;

  @Column('text', { name: 'vault_name' })
  vaultName!: string;

  @Column('text')
  task!: string;

  /** Of what is written about the care of the vault, at the last attempt; 0: nothing was. */
  @Column('integer')
  revision!: number;

  @Column('bigint', { name: 'fire_at_ms', transformer: bigintColumn })
  fireAtMs!: number;

  /** `due`, `queued`, `running`; at the end `done`, `skipped`, `failed` */
  @Column('text')
  state!: string;

  /** Why it was skipped, waits, failed or ended early, in a few words. */
  @Column('text', { nullable: true })
  why!: string | null;

  /** Number of the last attempt; 0 before the first. */
  @Column('integer')
  attempt!: number;

  /** Not to be started before. */
  @Column('bigint', { name: 'next_try_at_ms', transformer: bigintColumn })
  nextTryAtMs!: number;

  /** Where the last attempt began. */
  @Column('uuid', { name: 'host_id', nullable: true })
  hostId!: string | null;

  /** Hosts that cannot do it: without the key, the credentials, or the rights. */
  @Column('text', { array: true })
  declined!: readonly string[];

  /** Of the last attempt. */
  @Column('uuid', { name: 'job_id', nullable: true })
  jobId!: string | null;

  /** The change of points at which the last attempt began. */
  @Column('bigint', { nullable: true, transformer: bigintColumn })
  change!: number | null;

  /** Of the last attempt that failed: code, message, context. */
  @Column('jsonb', { nullable: true, transformer: storableColumn })
  fault!: unknown;

  @Column('bigint', { name: 'ended_at_ms', nullable: true, transformer: bigintColumn })
  endedAtMs!: number | null;

  /** Who asked for it; null: the schedule did. */
  @Column('text', { nullable: true })
  actor!: string | null;
}
