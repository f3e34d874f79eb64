import { Column, Entity, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from './column.ts';

/** A point that somebody gave to a policy: what the point itself says never changes. */
@Entity('point_owner')
export class PointOwnerRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'point_owner_pkey' })
  vaultId!: string;

  @PrimaryColumn('text', { name: 'point_id', primaryKeyConstraintName: 'point_owner_pkey' })
  pointId!: string;

  @Column('text', { name: 'policy_name' })
  policyName!: string;

  @Column('text', { transformer: storableColumn })
  author!: string;

  @Column('bigint', { name: 'at_ms', transformer: bigintColumn })
  atMs!: number;
}
