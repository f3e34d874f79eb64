import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';
import { storableColumn } from '../database/storable.ts';

/** One change of a policy. Revisions stay when the policy is removed. */
@Entity('policy_revision')
export class PolicyRevisionRow {
  @PrimaryColumn('uuid', {
    name: 'policy_id',
    primaryKeyConstraintName: 'policy_revision_pkey',
  })
  policyId!: string;

  /** From 1, without gaps. */
  @PrimaryColumn('integer', { primaryKeyConstraintName: 'policy_revision_pkey' })
  number!: number;

  /** `created`, `changed`, `paused`, `resumed`, `removed` */
  @Column('text')
  change!: string;

  /** The policy as it was afterwards, or before it was removed. */
  @Column('jsonb', { transformer: storableColumn })
  document!: unknown;

  /** The name of a token, or `local`. */
  @Column('text', { transformer: storableColumn })
  author!: string;

  @Column('bigint', { name: 'at_ms', transformer: bigintColumn })
  atMs!: number;
}
