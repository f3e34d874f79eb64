import type { PointCatalog } from '../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Claim, Engine, FrozenVm } from '../engines/engine.ts';
import { limited } from '../disk/limited-reader.ts';
import { currentActor } from '../kernel/actor.ts';
import type { Clock } from '../kernel/clock.ts';
import { isFault } from '../kernel/fault.ts';
import type { HostIdentity } from '../kernel/host-identity.ts';
import type { Log } from '../kernel/log.ts';
import type { GuestLatencyLimit } from '../kernel/rates/guest-latency.ts';
import { limiterFor, type RateLimiter } from '../kernel/rates/rate-limiter.ts';
import type { RateLimits } from '../kernel/rates/rate-limits.ts';
import { partOf, type ReportProgress } from '../kernel/progress.ts';
import type { PointOrigin } from '../vault/format/point-origin.ts';
import { NVRAM_FILE, type PointDisk, type RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { NewPoint } from '../vault/writing/new-point.ts';
import type { PointWriter, Vault } from '../vault/vault.ts';
import type { CompressionLevel } from '../vault/bytes/zstd.ts';
import { changesSince, type DiskChanges } from './disk-changes.ts';
import { neededGenerations } from './needed-generations.ts';
import { missedChangesNote, pointNotes } from './point-notes.ts';
import { proofRanges } from './proof-ranges.ts';
import { GuestThrottle } from './throttle/guest-throttle.ts';

export interface BackupRequest {
  readonly vmId: string;
  readonly vaultId: string;
  /** Does not ask the guest agent to freeze file systems. */
  readonly crashConsistent: boolean;
  /** Reads every disk whole, whatever change tracking says. */
  readonly full: boolean;
  /** Default: the highest that does not slow the backup. */
  readonly compressionLevel?: CompressionLevel | undefined;
  /** Default: by hand, for whom this runs. */
  readonly origin?: Omit<PointOrigin, 'service'> | undefined;
  readonly rateLimits?: RateLimits | undefined;
  /** What the guest may feel of the backup. Default: no limit. */
  readonly guestLatency?: GuestLatencyLimit | undefined;
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
  /** How long it waited for the sake of the guest's writes; undefined if these were not watched. */
  readonly guestThrottledMs?: number;
  /** Whether an earlier attempt of the run had sealed the point: nothing was frozen. */
  readonly found: boolean;
}

export interface BackupCollaborators {
  readonly engine: Pick<Engine, 'get' | 'claim' | 'freeze' | 'distrust'>;
  readonly vaults: Pick<RegisteredVaults, 'open'>;
  readonly points: Pick<PointCatalog, 'newestOf' | 'put'>;
  readonly host: Pick<HostIdentity, 'id'>;
}

/** What taking a point needs. */
interface Taking {
  readonly vault: Vault;
  readonly writer: PointWriter;
  readonly claim: Claim;
  /** By disk: the oldest generation that a vault still builds on. */
  readonly needed: Readonly<Record<string, number>>;
  readonly startedMs: number;
}

type StoringInto = Pick<Taking, 'vault' | 'writer' | 'claim'> & {
  readonly throttle: GuestThrottle | undefined;
};

/** Holds the vault until the writer has ended. */
interface Writing extends AsyncDisposable {
  readonly vault: Vault;
  readonly writer: PointWriter;
}

interface Storing {
  readonly nowMs: number;
  readonly limiter: RateLimiter | undefined;
  /** Called with each disk before the next one is read, and so before the point is sealed. */
  readonly onStored: (disk: PointDisk) => Promise<void>;
}

/** Enough to write a state file. */
const DISTRUST_MS_MAX = 60_000;

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
    const { engine, points } = this.collaborators;
    const { signal, jobId } = running;
    const startedMs = this.clock.monotonicMs();
    running.report({ phase: 'preparing', doneBytes: 0, totalBytes: 0 });
    const { name } = await engine.get(request.vmId, signal);
    const { vmId, compressionLevel } = request;
    const vm = { vmId, vmName: name, ...(compressionLevel && { compressionLevel }) };
    await using writing = await this.begin(request.vaultId, vm, signal);
    const { vault, writer } = writing;
    const newest = await points.newestOf(request.vmId);
    running.report({ phase: 'freezing', doneBytes: 0, totalBytes: 0 });
    await using claim = await engine.claim(vmId, jobId, signal);
    const sealed = await sealedOf(vault, request, signal);
    if (sealed !== undefined) {
      this.log.info('backup.point-found', { vmId, pointId: sealed.id, run: request.origin?.run });
      await this.catalogue(request.vaultId, sealed);
      const durationMs = this.clock.monotonicMs() - startedMs;
      return { point: sealed, durationMs, guestFrozenMs: 0, transactionMs: 0, found: true };
    }
    const needed = neededGenerations(newest);
    return await this.take({ vault, writer, claim, needed, startedMs }, request, running);
  }

  private async take(
    { vault, writer, claim, needed, startedMs }: Taking,
    request: BackupRequest,
    running: Running,
  ): Promise<TakenPoint> {
    await using frozen = await this.collaborators.engine.freeze(
      request.vmId,
      {
        jobToken: claim.jobId,
        claim,
        crashConsistent: request.crashConsistent,
        neededGenerations: needed,
      },
      running.signal,
    );
    await using throttle = GuestThrottle.start(frozen, request.guestLatency, {
      clock: this.clock,
      log: this.log,
    });
    const point = await this.store(frozen, { vault, writer, claim, throttle }, request, running);

    await this.catalogue(request.vaultId, point);
    return {
      point,
      durationMs: this.clock.monotonicMs() - startedMs,
      guestFrozenMs: frozen.guestFrozenMs,
      transactionMs: frozen.transactionMs,
      ...(throttle && { guestThrottledMs: Math.round(throttle.waitedMs) }),
      found: false,
    };
  }

  /** Opens the vault again if its keys or format changed since it was opened. */
  private async begin(vaultId: string, vm: NewPoint, signal: AbortSignal): Promise<Writing> {
    try {
      return await this.beginOnce(vaultId, vm, signal);
    } catch (error) {
      if (!isFault(error, 'vault.format-changed')) {
        throw error;
      }
      return this.beginOnce(vaultId, vm, signal);
    }
  }

  private async beginOnce(vaultId: string, vm: NewPoint, signal: AbortSignal): Promise<Writing> {
    await using held = new AsyncDisposableStack();
    const { vault } = held.use(await this.collaborators.vaults.open(vaultId, 'writer', signal));
    const writer = held.use(await vault.beginPoint(vm, signal));
    return Object.assign(held.move(), { vault, writer });
  }

  private async store(
    frozen: FrozenVm,
    { vault, writer, claim, throttle }: StoringInto,
    request: BackupRequest,
    { signal, report }: Running,
  ): Promise<RecoveryPoint> {
    const disks = await changesSince(writer.parent, frozen.disks, request.full);
    const distrusted = new Set<string>();
    const distrust = async ({ diskId, reason }: PointDisk): Promise<void> => {
      if (reason === 'tracking-wrong' && !distrusted.has(diskId)) {
        // With a signal of its own, so that cancelling the job does not lose what it found out.
        const own = AbortSignal.timeout(DISTRUST_MS_MAX);
        await this.collaborators.engine.distrust(request.vmId, diskId, own, claim);
        distrusted.add(diskId);
      }
    };
    const limiter = limiterFor(request.rateLimits, this.clock, throttle);
    const facts = { nowMs: frozen.takenAtMs, limiter, onStored: distrust };
    const stored = await addDisks(disks, writer, facts, { signal, report });
    const missed = stored.filter(({ reason }) => reason === 'tracking-wrong');
    const earlier = missed.length === 0 ? [] : await vault.points(signal, request.vmId);
    if (frozen.nvram !== undefined) {
      await writer.addFile(NVRAM_FILE, frozen.nvram, signal);
    }
    const totalBytes = sum(disks);
    report({ phase: 'sealing', doneBytes: totalBytes, totalBytes });
    await frozen.assertUnchanged(signal);
    const point = await writer.commit(
      {
        takenAtMs: frozen.takenAtMs,
        consistency: frozen.consistency,
        notes: [
          ...pointNotes(frozen, writer.parent, disks),
          ...missed.map((disk) => missedChangesNote(disk, earlier)),
          ...(throttle?.notes() ?? []),
        ],
        configuration: frozen.definition,
        origin: {
          ...(request.origin ?? { kind: 'hand', actor: currentActor() }),
          service: this.collaborators.host.id,
        },
      },
      signal,
    );
    // A commit may store disks once more.
    for (const disk of point.disks) {
      await distrust(disk);
    }
    return point;
  }

  private async catalogue(vaultId: string, point: RecoveryPoint): Promise<void> {
    try {
      await this.collaborators.points.put(vaultId, point);
    } catch (error) {
      // The point is sealed, and the catalog is a copy: the next look at the vault updates it.
      this.log.warn('catalog.point-not-written', { vaultId, pointId: point.id, error });
    }
  }
}

/** Returns the sealed point of the request's run, if there is one. */
async function sealedOf(
  vault: Vault,
  { vmId, origin }: BackupRequest,
  signal: AbortSignal,
): Promise<RecoveryPoint | undefined> {
  return origin?.run === undefined
    ? undefined
    : (await vault.points(signal, vmId)).find((point) => point.origin?.run === origin.run);
}

async function addDisks(
  disks: readonly DiskChanges[],
  writer: PointWriter,
  { nowMs, limiter, onStored }: Storing,
  { signal, report }: Omit<Running, 'jobId'>,
): Promise<PointDisk[]> {
  const stored: PointDisk[] = [];
  const beforeMs = writer.parent?.takenAtMs ?? nowMs;
  let beforeBytes = 0;
  let afterBytes = sum(disks);
  for (const { disk: frozen, changes, readBytesMax } of disks) {
    afterBytes -= readBytesMax;
    const { diskId, name, sizeBytes, tracking } = frozen;
    const reader = limited(frozen.reader, limiter);
    const prove = proofRanges(sizeBytes, { beforeMs, nowMs });
    const disk = await writer.addDisk(
      { diskId, name, sizeBytes, reader, tracking, changes, prove },
      { signal, report: partOf(report, { beforeBytes, afterBytes }) },
    );
    await onStored(disk);
    stored.push(disk);
    beforeBytes += readBytesMax;
  }
  return stored;
}

function sum(disks: readonly DiskChanges[]): number {
  return disks.reduce((total, { readBytesMax }) => total + readBytesMax, 0);
}
