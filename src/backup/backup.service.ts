import type { PointCatalog } from '../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Engine, FrozenVm } from '../engines/engine.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { partOf, type ReportProgress } from '../kernel/progress.ts';
import type { RecoveryPoint } from '../vault/recovery-point.ts';
import type { PointWriter } from '../vault/vault.ts';
import { changesSince, type DiskChanges } from './disk-changes.ts';
import { neededGenerations } from './needed-generations.ts';
import { pointNotes } from './point-notes.ts';

/** Name of the firmware's variable store in a recovery point. */
export const NVRAM_FILE = 'nvram';

export interface BackupRequest {
  readonly vmId: string;
  readonly vaultId: string;
  /** Do not ask the guest agent to freeze file systems. */
  readonly crashConsistent: boolean;
  /** Read every disk whole, whatever tracking says. */
  readonly full: boolean;
}

export interface Running {
  /** Identifies the holder of the VM for the engine. */
  readonly jobId: string;
  readonly signal: AbortSignal;
  readonly report: ReportProgress;
}

export interface TakenPoint {
  readonly point: RecoveryPoint;
  readonly durationMs: number;
  readonly guestFrozenMs: number;
  readonly transactionMs: number;
}

export interface BackupCollaborators {
  readonly engine: Pick<Engine, 'get' | 'freeze'>;
  readonly vaults: Pick<RegisteredVaults, 'open'>;
  readonly points: Pick<PointCatalog, 'newestOf' | 'put'>;
}

/** Takes recovery points. */
export class BackupService {
  private readonly collaborators: BackupCollaborators;
  private readonly clock: Clock;
  private readonly log: Log;

  constructor(collaborators: BackupCollaborators, clock: Clock, log: Log) {
    this.collaborators = collaborators;
    this.clock = clock;
    this.log = log;
  }

  /**
   * Takes a recovery point of a VM: freezes all its disks at one instant and stores what changed
   * since the newest point of the VM in this vault.
   *
   * The vault is asked first, so a store that is away costs the VM nothing. The VM stays frozen
   * (its guest runs on) until the point is sealed: `commit` may have to read again. Any failure
   * before that gives the frozen layers up and leaves no point; the engine still knows the changes,
   * and what was uploaded is not sent again by the next run.
   */
  async takeRecoveryPoint(request: BackupRequest, running: Running): Promise<TakenPoint> {
    const { engine, vaults, points } = this.collaborators;
    const { signal, jobId } = running;
    const startedMs = this.clock.monotonicMs();
    running.report({ phase: 'preparing', doneBytes: 0, totalBytes: 0 });
    const { name } = await engine.get(request.vmId, signal);
    const vault = await vaults.open(request.vaultId, signal);
    const newest = await points.newestOf(request.vmId);

    await using writer = await vault.beginPoint({ vmId: request.vmId, vmName: name }, signal);
    running.report({ phase: 'freezing', doneBytes: 0, totalBytes: 0 });
    await using frozen = await engine.freeze(
      request.vmId,
      {
        jobToken: jobId,
        crashConsistent: request.crashConsistent,
        neededGenerations: neededGenerations(newest),
      },
      signal,
    );
    const point = await this.store(frozen, writer, request, running);

    await this.catalogue(request.vaultId, point);
    return {
      point,
      durationMs: this.clock.monotonicMs() - startedMs,
      guestFrozenMs: frozen.guestFrozenMs,
      transactionMs: frozen.transactionMs,
    };
  }

  private async store(
    frozen: FrozenVm,
    writer: PointWriter,
    request: BackupRequest,
    { signal, report }: Running,
  ): Promise<RecoveryPoint> {
    const disks = await changesSince(writer.parent, frozen.disks, request.full);
    await addDisks(disks, writer, { signal, report });
    if (frozen.nvram !== undefined) {
      await writer.addFile(NVRAM_FILE, frozen.nvram, signal);
    }
    const totalBytes = sum(disks);
    report({ phase: 'sealing', doneBytes: totalBytes, totalBytes });
    return writer.commit(
      {
        takenAtMs: frozen.takenAtMs,
        consistency: frozen.consistency,
        notes: pointNotes(frozen, writer.parent, disks),
        configuration: frozen.definition,
      },
      signal,
    );
  }

  private async catalogue(vaultId: string, point: RecoveryPoint): Promise<void> {
    try {
      await this.collaborators.points.put(vaultId, point);
    } catch (error) {
      // The point is sealed; the catalog is a copy that the next look at the vault brings up to date.
      this.log.warn('catalog.point-not-written', { vaultId, pointId: point.id, error });
    }
  }
}

async function addDisks(
  disks: readonly DiskChanges[],
  writer: PointWriter,
  { signal, report }: Omit<Running, 'jobId'>,
): Promise<void> {
  let beforeBytes = 0;
  let afterBytes = sum(disks);
  for (const { disk, changes, readBytesMax } of disks) {
    afterBytes -= readBytesMax;
    const { diskId, name, sizeBytes, reader, tracking } = disk;
    await writer.addDisk(
      { diskId, name, sizeBytes, reader, tracking, changes },
      { signal, report: partOf(report, { beforeBytes, afterBytes }) },
    );
    beforeBytes += readBytesMax;
  }
}

function sum(disks: readonly DiskChanges[]): number {
  return disks.reduce((total, { readBytesMax }) => total + readBytesMax, 0);
}
