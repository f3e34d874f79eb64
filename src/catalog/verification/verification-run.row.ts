import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from '../rows/column.ts';
import { storableColumn } from '../database/storable.ts';

/** A verification that a service begins by itself: of a new point, or for a policy. */
@Entity('verification_run')
@Index('verification_run_once', ['key'], { unique: true })
@Index('verification_run_open', ['policyId', 'vmId'], {
  unique: true,
  where: "policy_id IS NOT NULL AND state IN ('due', 'running')",
})
@Index('verification_run_unfinished', ['dueAtMs', 'id'], { where: "state IN ('due', 'running')" })
export class VerificationRunRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'verification_run_pkey' })
  id!: string;

  /** What it is for: `sealed VAULT POINT` or `policy POLICY-ID VM-ID TIME`. */
  @Column('text')
  key!: string;

  @Column('text', { name: 'vault_id' })
  vaultId!: string;

  @Column('text', { name: 'vm_id' })
  vmId!: string;

  @Column('text', { name: 'vm_name', transformer: storableColumn })
  vmName!: string;

  @Column('text', { name: 'point_id' })
  pointId!: string;

  /** Null: of a new point. */
  @Column('uuid', { name: 'policy_id', nullable: true })
  policyId!: string | null;

  @Column('text', { name: 'policy_name', nullable: true })
  policyName!: string | null;

  @Column('integer')
  level!: number;

  @Column('bigint', { name: 'due_at_ms', transformer: bigintColumn })
  dueAtMs!: number;

  /** `due`, `running`; at the end `whole`, `damaged`, `skipped`, `failed` */
  @Column('text')
  state!: string;

  /** Why it waits, was skipped or failed, or what it left out, in a few words. */
  @Column('text', { nullable: true })
  why!: string | null;

  /** Number of the last attempt that counts; 0 before the first. */
  @Column('integer')
  attempt!: number;

  /** Not to be started before. */
  @Column('bigint', { name: 'next_try_at_ms', transformer: bigintColumn })
  nextTryAtMs!: number;

  /** The host that verifies, or did so last. */
  @Column('uuid', { name: 'host_id', nullable: true })
  hostId!: string | null;

  @Column('uuid', { name: 'job_id', nullable: true })
  jobId!: string | null;

  /** Of the last attempt that failed: code, message, context. */
  @Column('jsonb', { nullable: true, transformer: storableColumn })
  fault!: unknown;

  @Column('bigint', { name: 'ended_at_ms', nullable: true, transformer: bigintColumn })
  endedAtMs!: number | null;
}
