import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';

/** A registered vault: where it is. Its key is in the secret store, its points are in itself. */
@Entity('vault')
@Index('vault_name', ['name'], { unique: true })
export class VaultRow {
  /** The vault's own id, as its format object says. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'vault_pkey' })
  id!: string;

  @Column('text')
  name!: string;

  @Column('text')
  location!: string;

  @Column('text', { nullable: true })
  endpoint!: string | null;

  @Column('text', { nullable: true })
  region!: string | null;

  /** Allows a store whose LIST lags for other clients. */
  @Column('boolean', { name: 'single_writer' })
  singleWriter!: boolean;

  @Column('bigint', { name: 'created_at_ms', transformer: bigintColumn })
  createdAtMs!: number;

  /**
   * When the listing began that the points of the vault were last made to agree with, counted as
   * their changes are.
   */
  @Column('bigint', { transformer: bigintColumn })
  listed!: number;

  @Column('bigint', { name: 'synced_at_ms', nullable: true, transformer: bigintColumn })
  syncedAtMs!: number | null;
}
