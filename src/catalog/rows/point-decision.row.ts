import { Column, Entity, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from './column.ts';

/** The newest decision on a point of a vault; it goes when the point is gone. */
@Entity('point_decision')
export class PointDecisionRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'point_decision_pkey' })
  vaultId!: string;

  @PrimaryColumn('text', { name: 'point_id', primaryKeyConstraintName: 'point_decision_pkey' })
  pointId!: string;

  @Column('text', { name: 'vm_id' })
  vmId!: string;

  @Column('boolean')
  keep!: boolean;

  /** Reasons of the plan. */
  @Column('jsonb', { transformer: storableColumn })
  because!: unknown;

  @Column('bigint', { name: 'decided_at_ms', transformer: bigintColumn })
  decidedAtMs!: number;
}
