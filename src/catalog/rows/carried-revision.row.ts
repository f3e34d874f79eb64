import { Column, Entity, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from './column.ts';

/**
 * The revision of a policy whose retention is carried out in a vault; a newer one may wait for a
 * person.
 */
@Entity('carried_revision')
export class CarriedRevisionRow {
  @PrimaryColumn('uuid', { name: 'policy_id', primaryKeyConstraintName: 'carried_revision_pkey' })
  policyId!: string;

  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'carried_revision_pkey' })
  vaultId!: string;

  @Column('integer')
  revision!: number;

  /** The service, if it gives up no more than was due. */
  @Column('text', { transformer: storableColumn })
  author!: string;

  @Column('bigint', { name: 'at_ms', transformer: bigintColumn })
  atMs!: number;
}
