import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { storableColumn } from '../database/storable.ts';
import { bigintColumn } from './column.ts';

/** A VM as its host saw it last. It stays, with its tags, when the VM is gone. */
@Entity('vm')
@Index('vm_host', ['hostId'])
export class VmRow {
  /** The VM's own id: whatever it is called, and on whichever host it is. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'vm_pkey' })
  id!: string;

  @Column('uuid', { name: 'host_id' })
  hostId!: string;

  /** Kind of the engine. */
  @Column('text')
  engine!: string;

  @Column('text', { transformer: storableColumn })
  name!: string;

  @Column('text')
  status!: string;

  /** In their order. */
  @Column('text', { array: true })
  tags!: readonly string[];

  @Column('bigint', { name: 'first_seen_ms', transformer: bigintColumn })
  firstSeenMs!: number;

  /** To five minutes, unless something changed. */
  @Column('bigint', { name: 'last_seen_ms', transformer: bigintColumn })
  lastSeenMs!: number;

  /** Since when its host no longer has it; null while it does. */
  @Column('bigint', { name: 'gone_at_ms', nullable: true, transformer: bigintColumn })
  goneAtMs!: number | null;
}
