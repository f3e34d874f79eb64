import { Column, Entity, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from '../rows/column.ts';

/** What somebody wrote about the care of a vault. It stays when the vault is forgotten. */
@Entity('care_revision')
export class CareRevisionRow {
  /** Name of the vault, as policies have it. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'care_revision_pkey' })
  vault!: string;

  @PrimaryColumn('integer', { primaryKeyConstraintName: 'care_revision_pkey' })
  number!: number;

  /** `created`, `changed`, `removed`: the newest one is in force unless it removes. */
  @Column('text')
  change!: string;

  @Column('jsonb', { transformer: storableColumn })
  document!: unknown;

  @Column('text')
  author!: string;

  @Column('bigint', { name: 'at_ms', transformer: bigintColumn })
  atMs!: number;
}
