import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';
import { storableColumn } from '../database/storable.ts';

/** Content of a VM in a vault that looked encrypted, and what a person said of it. */
@Entity('suspicion')
@Index('suspicion_open', ['vaultId', 'vmId'], { unique: true, where: 'cleared_at_ms IS NULL' })
export class SuspicionRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'suspicion_pkey' })
  vaultId!: string;

  @PrimaryColumn('text', { name: 'vm_id', primaryKeyConstraintName: 'suspicion_pkey' })
  vmId!: string;

  /** The point with which it was noticed. */
  @PrimaryColumn('text', { name: 'point_id', primaryKeyConstraintName: 'suspicion_pkey' })
  pointId!: string;

  @Column('text', { name: 'vm_name', transformer: storableColumn })
  vmName!: string;

  @Column('bigint', { name: 'at_ms', transformer: bigintColumn })
  atMs!: number;

  /** The first point that deviates. */
  @Column('text', { name: 'since_id' })
  sinceId!: string;

  /** The point before; null if there is none. */
  @Column('text', { name: 'clean_id', nullable: true })
  cleanId!: string | null;

  /** Sentences with numbers. */
  @Column('jsonb')
  signals!: readonly string[];

  /** Object of the hold on the point before; null if there is none. */
  @Column('text', { name: 'hold_key', nullable: true })
  holdKey!: string | null;

  /** Why there is no hold. */
  @Column('text', { name: 'hold_problem', nullable: true, transformer: storableColumn })
  holdProblem!: string | null;

  /** Null until a person has answered. */
  @Column('bigint', { name: 'cleared_at_ms', nullable: true, transformer: bigintColumn })
  clearedAtMs!: number | null;

  @Column('text', { name: 'cleared_by', nullable: true, transformer: storableColumn })
  clearedBy!: string | null;

  @Column('text', { nullable: true, transformer: storableColumn })
  note!: string | null;

  /** The newest point then: up to it all is usual. */
  @Column('text', { name: 'answered_id', nullable: true })
  answeredId!: string | null;
}
