import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';
import { storableColumn } from '../database/storable.ts';

/** What this host found out about a recovery point. If it is lost, it is found out again. */
@Entity('point_proof')
export class PointProofRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'point_proof_pkey' })
  vaultId!: string;

  @PrimaryColumn('text', { name: 'point_id', primaryKeyConstraintName: 'point_proof_pkey' })
  pointId!: string;

  /** Time of the last verification that read all content (level 2 or 3) and found it whole. */
  @Column('bigint', { name: 'verified_at_ms', nullable: true, transformer: bigintColumn })
  verifiedAtMs!: number | null;

  /** Time of the last verification, at any level, if it found damage. */
  @Column('bigint', { name: 'damaged_at_ms', nullable: true, transformer: bigintColumn })
  damagedAtMs!: number | null;

  /** The last verification, at any level, whatever it found. */
  @Column('bigint', { name: 'checked_at_ms', nullable: true, transformer: bigintColumn })
  checkedAtMs!: number | null;

  /** What it proved of the whole point; null if it did not get so far. */
  @Column('integer', { name: 'checked_level', nullable: true })
  checkedLevel!: number | null;

  /** What it proved beyond that of what the point added to the vault. */
  @Column('integer', { name: 'checked_added_level', nullable: true })
  checkedAddedLevel!: number | null;

  /** Name of the host that verified. */
  @Column('text', { name: 'checked_by', nullable: true, transformer: storableColumn })
  checkedBy!: string | null;

  /** According to scrubs: packs of the point, and how many were found whole and damaged. */
  @Column('integer', { nullable: true })
  packs!: number | null;

  @Column('integer', { name: 'proven_packs', nullable: true })
  provenPacks!: number | null;

  @Column('integer', { name: 'damaged_packs', nullable: true })
  damagedPacks!: number | null;

  /** Time of the oldest proof among its packs, if all are whole. */
  @Column('bigint', { name: 'scrubbed_at_ms', nullable: true, transformer: bigintColumn })
  scrubbedAtMs!: number | null;
}
