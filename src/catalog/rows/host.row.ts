import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { HeldVaults } from '../jobs/vault-reach.ts';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from './column.ts';

/** A host whose service uses this database, or did. */
@Entity('host')
export class HostRow {
  /** Minted in the home of the service. */
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'host_pkey' })
  id!: string;

  /** Name of the machine, for people. */
  @Column('text', { transformer: storableColumn })
  name!: string;

  /** One of its addresses in a network, for people; null if it has none. */
  @Column('text', { nullable: true })
  address!: string | null;

  /** Of Hyperkeep. */
  @Column('text')
  version!: string;

  @Column('bigint', { name: 'last_seen_ms', transformer: bigintColumn })
  lastSeenMs!: number;

  /** By id, those of which it has the key, with the roles for which it has credentials. */
  @Column('jsonb', { default: {} })
  vaults!: HeldVaults;
}
