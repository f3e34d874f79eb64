import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn } from './column.ts';

/** A named token for requests over TCP. Only its digest is kept. */
@Entity('api_token')
@Index('api_token_name', ['name'], { unique: true })
@Index('api_token_digest', ['digest'], { unique: true })
export class ApiTokenRow {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'api_token_pkey' })
  id!: string;

  @Column('text')
  name!: string;

  /** SHA-256 of the token in hex. */
  @Column('text')
  digest!: string;

  /** `read`, `operate` or `admin`. */
  @Column('text')
  scope!: string;

  /** Who made it: the actor's name. */
  @Column('text')
  author!: string;

  @Column('bigint', { name: 'created_at_ms', transformer: bigintColumn })
  createdAtMs!: number;

  /** Null if it does not expire. */
  @Column('bigint', { name: 'expires_at_ms', nullable: true, transformer: bigintColumn })
  expiresAtMs!: number | null;

  /** To the minute. */
  @Column('bigint', { name: 'used_at_ms', nullable: true, transformer: bigintColumn })
  usedAtMs!: number | null;
}
