import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';

/** Where a registered vault is. The secret store has its key; the vault itself has its points. */
@Entity('vault')
@Index('vault_name', ['name'], { unique: true })
export class VaultRow {
  /** The vault's own id, from its format object. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'vault_pkey' })
  id!: string;

  @Column('text')
  name!: string;

  @Column('text')
  location!: string;

  /** When somebody began to destroy it: since then nobody else uses it. */
  @Column('bigint', { name: 'destroying_at_ms', nullable: true, transformer: bigintColumn })
  destroyingAtMs!: number | null;

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
   * Number of the last listing to which the vault's points were matched, counted like their
   * changes.
   */
  @Column('bigint', { transformer: bigintColumn })
  listed!: number;

  @Column('bigint', { name: 'synced_at_ms', nullable: true, transformer: bigintColumn })
  syncedAtMs!: number | null;

  /**
   * Whether the key that hosts keep of it includes its retention key, as last seen; null if nobody
   * has looked.
   */
  @Column('boolean', { name: 'can_give_up', nullable: true })
  canGiveUp!: boolean | null;

  /** Whether it locks its objects, as last seen; null if nobody has looked. */
  @Column('boolean', { nullable: true })
  locked!: boolean | null;
}
