import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { BackupRequest } from './backup-request.ts';
import type { GuestCommandReport } from './guest-hooks.ts';
import { VmBackup, type BackupCollaborators, type BackupParts, type Running } from './vm-backup.ts';

export interface TakenPoint {
  readonly point: RecoveryPoint;
  readonly durationMs: number;
  readonly guestFrozenMs: number;
  readonly transactionMs: number;
  /** How long it waited for the sake of the guest's writes; undefined if these were not watched. */
  readonly guestThrottledMs?: number;
  readonly guestCommands: readonly GuestCommandReport[];
  /** Whether an earlier attempt of the run had sealed the point: nothing was frozen. */
  readonly found: boolean;
}

/** Takes recovery points. */
export class BackupService {
  private readonly parts: BackupParts;

  constructor(collaborators: BackupCollaborators, clock: Clock, log: Log) {
    this.parts = { ...collaborators, clock, log };
  }

  /**
   * Takes a recovery point of a VM: freezes all its disks at one instant, and stores what changed
   * since the VM's newest point in this vault.
   *
   * Opens the vault first, so a store that is away costs the VM nothing. The VM stays frozen (its
   * guest runs on) until the point is sealed, because `commit` may have to read again. Any failure
   * before that gives the frozen layers up and leaves no point; the engine still knows the changes,
   * and the next run does not send again what was uploaded.
   *
   * The attempt of a run (`origin.run`) freezes nothing if the vault has a sealed point of it: an
   * earlier attempt was ended between the seal and its result. The vault is asked, not the catalog,
   * and once the VM is claimed, so that nobody else seals meanwhile.
   */
  async takeRecoveryPoint(request: BackupRequest, running: Running): Promise<TakenPoint> {
    const { clock, log } = this.parts;
    const { signal } = running;
    const startedMs = clock.monotonicMs();
    running.report({ phase: 'preparing', doneBytes: 0, totalBytes: 0 });
    await using backup = await VmBackup.open(this.parts, request, signal);
    running.report({ phase: 'freezing', doneBytes: 0, totalBytes: 0 });
    await backup.take(running);
    const [sealed] = await backup.sealed(signal);
    if (sealed !== undefined) {
      const { vmId, origin } = request;
      log.info('backup.point-found', { vmId, pointId: sealed.id, run: origin?.run });
      await backup.catalogue(sealed);
      const durationMs = clock.monotonicMs() - startedMs;
      const nothing = { guestFrozenMs: 0, transactionMs: 0, guestCommands: [] };
      return { point: sealed, durationMs, ...nothing, found: true };
    }
    try {
      await backup.freeze(signal);
      const point = await backup.store(running);
      return { ...takenBy(backup, point), durationMs: clock.monotonicMs() - startedMs };
    } catch (error) {
      throw signal.aborted ? error : backup.hooks.failed(error);
    }
  }
}

/** Returns what a backup did, but how long it took. */
export function takenBy(backup: VmBackup, point: RecoveryPoint): Omit<TakenPoint, 'durationMs'> {
  const { frozen, throttledMs, hooks } = backup;
  return {
    point,
    guestFrozenMs: frozen.guestFrozenMs,
    transactionMs: frozen.transactionMs,
    ...(throttledMs !== undefined && { guestThrottledMs: throttledMs }),
    guestCommands: hooks.reports,
    found: false,
  };
}
