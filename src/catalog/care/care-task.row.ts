import { Column, Entity, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from '../rows/column.ts';

/** Something that is done for a vault again and again. */
@Entity('care_task')
export class CareTaskRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'care_task_pkey' })
  vaultId!: string;

  /** `prune`, `scrub`, `keep`, `copy NAME`. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'care_task_pkey' })
  task!: string;

  /** Of the horizon, as JSON: another schedule begins at its first look. */
  @Column('text')
  schedule!: string;

  /** Until when the schedule was looked at. */
  @Column('bigint', { name: 'horizon_ms', transformer: bigintColumn })
  horizonMs!: number;

  /** Why it cannot be done, for people; null while it can. */
  @Column('text', { nullable: true, transformer: storableColumn })
  trouble!: string | null;

  /** Code of the fault behind it, if there is one. */
  @Column('text', { name: 'trouble_code', nullable: true })
  troubleCode!: string | null;

  @Column('bigint', { name: 'trouble_since_ms', nullable: true, transformer: bigintColumn })
  troubleSinceMs!: number | null;

  /** Of a copy: when the last run ended that brought it up to date. */
  @Column('bigint', { name: 'followed_at_ms', nullable: true, transformer: bigintColumn })
  followedAtMs!: number | null;

  /** Of a copy: it has all points that the catalog knew at this change of points. */
  @Column('bigint', { name: 'followed_change', nullable: true, transformer: bigintColumn })
  followedChange!: number | null;
}
