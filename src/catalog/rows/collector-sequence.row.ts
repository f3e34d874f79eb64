import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';

/** How far a collector has read the decisions of a service. */
@Entity('collector_sequence')
export class CollectorSequenceRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'collector_sequence_pkey' })
  vaultId!: string;

  @PrimaryColumn('text', { primaryKeyConstraintName: 'collector_sequence_pkey' })
  service!: string;

  @Column('bigint', { transformer: bigintColumn })
  sequence!: number;
}
