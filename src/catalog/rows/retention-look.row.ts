import { Column, Entity, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from './column.ts';

/** When it was last decided about the points of a vault, and what came of it. */
@Entity('retention_look')
export class RetentionLookRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'retention_look_pkey' })
  vaultId!: string;

  /** When it began. */
  @Column('bigint', { name: 'at_ms', transformer: bigintColumn })
  atMs!: number;

  /** In the catalog when it began: another one is a reason to decide again. */
  @Column('text', { name: 'newest_point_id', nullable: true })
  newestPointId!: string | null;

  /** Counts, and what waits for whom; or why it was not decided. */
  @Column('jsonb', { nullable: true, transformer: storableColumn })
  report!: unknown;
}
