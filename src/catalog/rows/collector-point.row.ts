import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';

/** A recovery point as a collector saw it: what its floors are counted from. */
@Entity('collector_point')
export class CollectorPointRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'collector_point_pkey' })
  vaultId!: string;

  @PrimaryColumn('text', { name: 'vm_id', primaryKeyConstraintName: 'collector_point_pkey' })
  vmId!: string;

  @PrimaryColumn('text', { name: 'point_id', primaryKeyConstraintName: 'collector_point_pkey' })
  pointId!: string;

  /** Since when it was there at the latest. */
  @Column('bigint', { name: 'since_ms', transformer: bigintColumn })
  sinceMs!: number;

  /** When the store took point and seal, the later of the two; null if it does not say. */
  @Column('bigint', { name: 'stored_ms', nullable: true, transformer: bigintColumn })
  storedMs!: number | null;

  /** Of the bytes of the point. */
  @Column('text')
  mac!: string;

  @Column('text', { name: 'origin_kind' })
  originKind!: string;

  @Column('text', { name: 'origin_service', nullable: true })
  originService!: string | null;

  /** When it was found to differ from the first sight, or to be gone. */
  @Column('bigint', { name: 'in_doubt_ms', nullable: true, transformer: bigintColumn })
  inDoubtMs!: number | null;

  /** When it was given up, by this collector or, as first seen, by somebody else. */
  @Column('bigint', { name: 'given_up_ms', nullable: true, transformer: bigintColumn })
  givenUpMs!: number | null;
}
