import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';
import { storableColumn } from '../database/storable.ts';

/** One VM of a policy at one fire time. It stays when the policy is removed. */
@Entity('run')
@Index('run_once', ['policyId', 'vmId', 'fireAtMs'], { unique: true })
@Index('run_newest', ['vmId', 'fireAtMs'])
@Index('run_unfinished', ['fireAtMs', 'id'], { where: "state IN ('due', 'queued', 'running')" })
export class RunRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'run_pkey' })
  id!: string;

  @Column('uuid', { name: 'policy_id' })
  policyId!: string;

  @Column('text', { name: 'policy_name' })
  policyName!: string;

  /** Of the policy, at the last attempt. */
  @Column('integer')
  revision!: number;

  @Column('text', { name: 'vm_id' })
  vmId!: string;

  @Column('text', { name: 'vm_name', transformer: storableColumn })
  vmName!: string;

  /** Host of the VM when it was due; null: it ended before hosts were written down. */
  @Column('uuid', { name: 'host_id', nullable: true })
  hostId!: string | null;

  @Column('bigint', { name: 'fire_at_ms', transformer: bigintColumn })
  fireAtMs!: number;

  /** `due`, `queued`, `running`; at the end `sealed`, `skipped`, `failed` */
  @Column('text')
  state!: string;

  /** Why it was skipped, waits or failed, in a few words. */
  @Column('text', { nullable: true })
  why!: string | null;

  /** Number of the last attempt; 0 before the first. */
  @Column('integer')
  attempt!: number;

  /** Not to be started before. */
  @Column('bigint', { name: 'next_try_at_ms', transformer: bigintColumn })
  nextTryAtMs!: number;

  /** Of the last attempt. */
  @Column('uuid', { name: 'job_id', nullable: true })
  jobId!: string | null;

  /** Of the last attempt that failed: code, message, context. */
  @Column('jsonb', { nullable: true, transformer: storableColumn })
  fault!: unknown;

  @Column('text', { name: 'point_id', nullable: true })
  pointId!: string | null;

  @Column('text', { name: 'vault_id', nullable: true })
  vaultId!: string | null;

  /** Who asked for it; null: the schedule did. */
  @Column('text', { nullable: true })
  actor!: string | null;
}
