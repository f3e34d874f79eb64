import { formatBytes } from '../../../kernel/text/bytes.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import type { BeingRead } from '../../../vault/records/lease-terms.ts';
import { ReadingLeases } from '../../../vault/records/reading-leases.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { formatTable } from '../../terminal/table.ts';
import { noPoints, pointsOf } from '../../options/choose-point.ts';
import { vmCells } from '../../options/vm-cells.ts';
import type { WhichVm } from '../../options/which-vm.ts';
import { pointSets, type PointSet } from '../../../vault/retention/point-sets.ts';
import { originCell } from '../../vault-text/origin-text.ts';
import { withVault, type VaultKey } from '../vault-access.ts';

export interface ListOptions extends VaultKey, WhichVm {}

/** Returns a recovery point for programs: as in the vault, and with the time in words. */
export function pointDocument(point: RecoveryPoint): object {
  return {
    ...point,
    configuration: undefined, // Long, and `restore` writes it.
    takenAt: new Date(point.takenAtMs).toISOString(),
  };
}

export async function listPoints(cli: Cli, options: ListOptions): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
    const all = await vault.points(cli.signal);
    const points = pointsOf(all, options);
    if (points.length === 0 && (options.vm ?? options.vmId) !== undefined) {
      throw noPoints(all, options);
    }
    const leases = await new ReadingLeases(vault.inside).list(cli.signal);
    return {
      document: {
        vault: { id: vault.id, name: vault.name },
        points: points.map(pointDocument),
        beingRead: leases.map(({ id, reader, untilMs }) => ({ pointId: id, reader, untilMs })),
      },
      text:
        points.length === 0
          ? 'No recovery points. Make one with: hyperkeep rescue import FILE --vm NAME\n'
          : table(cli, points) + notes(points) + readText(cli, leases),
    };
  });
}

function table(cli: Cli, points: readonly RecoveryPoint[]): string {
  const columns = [
    { title: 'POINT' },
    { title: 'VM' },
    { title: 'TAKEN' },
    { title: 'DISKS' },
    { title: 'READ', align: 'right' as const },
    { title: 'STORED', align: 'right' as const },
    { title: 'HOW' },
    { title: 'ORIGIN' },
  ];
  const vmOf = vmCells(points);
  const sets = new Map(
    pointSets(points).flatMap((set) => set.points.map(({ id }) => [id, set] as const)),
  );
  return formatTable(
    columns,
    points.map((point) => [
      point.id,
      vmOf(point),
      cli.time(point.takenAtMs),
      point.disks.map(({ name, sizeBytes }) => `${name} ${formatBytes(sizeBytes)}`).join(', '),
      formatBytes(point.disks.reduce((sum, { statistics }) => sum + statistics.readBytes, 0)),
      formatBytes(point.disks.reduce((sum, { statistics }) => sum + statistics.storedBytes, 0)),
      howOf(point),
      originCell(withSet(point, sets.get(point.id))),
    ]),
  );
}

function withSet(point: RecoveryPoint, set: PointSet | undefined) {
  return { ...point, ...(set && { set }) };
}

/** Returns `changes only, filesystem`: how much was read, and the consistency. */
function howOf({ disks, consistency }: RecoveryPoint): string {
  const reasons = disks
    .map(({ reason }) => reason ?? 'changes only')
    .filter((reason) => reason !== 'imported-image');
  return [...new Set([...reasons, consistency])].join(', ');
}

function notes(points: readonly RecoveryPoint[]): string {
  return points
    .flatMap(({ id, notes }) => notes.map((note) => `${id}: ${plainText(note)}\n`))
    .join('');
}

function readText(cli: Cli, leases: readonly BeingRead[]): string {
  return leases
    .map(
      ({ id, reader, untilMs }) =>
        `${id}: being read by ${plainText(reader)} until ${cli.time(untilMs)}\n`,
    )
    .join('');
}
