import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import type { PointOrigin } from '../../vault/format/point-origin.ts';
import type { RecoveryPoint } from '../../vault/points/recovery-point.ts';
import { bigintColumn } from './column.ts';
import { storableColumn } from '../database/storable.ts';

/** A sealed recovery point of a vault, copied so that it can be listed while the vault is away. */
@Entity('recovery_point')
@Index('recovery_point_vm', ['vmId', 'id'])
@Index('recovery_point_run', ['runId'], { where: 'run_id IS NOT NULL' })
@Index('recovery_point_policy', ['policyName', 'vmId'], { where: 'policy_name IS NOT NULL' })
export class RecoveryPointRow {
  @PrimaryColumn('text', { name: 'vault_id', primaryKeyConstraintName: 'recovery_point_pkey' })
  vaultId!: string;

  /** ULID. The order of points is `byContent`. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'recovery_point_pkey' })
  id!: string;

  @Column('text', { name: 'vm_id' })
  vmId!: string;

  @Column('text', { name: 'vm_name', transformer: storableColumn })
  vmName!: string;

  @Column('bigint', { name: 'taken_at_ms', transformer: bigintColumn })
  takenAtMs!: number;

  /** The point as the vault gave it, without its configuration. */
  @Column('jsonb', { transformer: storableColumn })
  point!: CataloguedPoint;

  /** Copies of the point's origin. Null if it has none, which counts as by hand. */
  @Column('text', { name: 'origin_kind', nullable: true })
  originKind!: string | null;

  @Column('text', { name: 'origin_service', nullable: true, transformer: storableColumn })
  originService!: string | null;

  @Column('text', { name: 'policy_name', nullable: true, transformer: storableColumn })
  policyName!: string | null;

  @Column('text', { name: 'run_id', nullable: true, transformer: storableColumn })
  runId!: string | null;

  @Column('text', { name: 'group_id', nullable: true, transformer: storableColumn })
  groupId!: string | null;

  /**
   * Number of the write, counted over all points: a listing that began before it cannot show the
   * point.
   */
  @Column('bigint', { transformer: bigintColumn })
  changed!: number;

  /** Why nobody may give it up, according to the vault; empty if somebody may. */
  @Column('jsonb', { transformer: storableColumn })
  holds!: readonly PointHold[];
}

type OriginColumns = Pick<
  RecoveryPointRow,
  'originKind' | 'originService' | 'policyName' | 'runId' | 'groupId'
>;

export interface PointHold {
  readonly atMs: number;
  readonly reason: string;
}

/** The listed part of a point; restores read the VM's definition from the vault. */
export type CataloguedPoint = Omit<RecoveryPoint, 'configuration'>;

export function pointRow(
  vaultId: string,
  point: CataloguedPoint,
  { changed, holds = [] }: { readonly changed: number; readonly holds?: readonly PointHold[] },
): RecoveryPointRow {
  const { id, vmId, vmName, takenAtMs, parentId, consistency, notes, disks, files, origin } = point;
  const row = new RecoveryPointRow();
  row.vaultId = vaultId;
  row.id = id;
  row.vmId = vmId;
  row.vmName = vmName;
  row.takenAtMs = takenAtMs;
  row.point = {
    id,
    vmId,
    vmName,
    takenAtMs,
    ...(parentId === undefined ? {} : { parentId }),
    consistency,
    notes,
    disks,
    files,
    ...(origin === undefined ? {} : { origin }),
  };
  Object.assign(row, originColumns(origin));
  row.changed = changed;
  row.holds = holds;
  return row;
}

function originColumns({
  kind,
  service,
  policy,
  run,
  group,
}: Partial<PointOrigin> = {}): OriginColumns {
  return {
    originKind: kind ?? null,
    originService: service ?? null,
    policyName: policy ?? null,
    runId: run ?? null,
    groupId: group ?? null,
  };
}
