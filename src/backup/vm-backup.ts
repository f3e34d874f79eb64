import assert from 'node:assert/strict';
import type { PointCatalog } from '../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { limited } from '../disk/limited-reader.ts';
import type { Claim, Engine, FrozenVm } from '../engines/engine.ts';
import type { FreezeMeeting } from '../engines/freeze-meeting.ts';
import { currentActor } from '../kernel/actor.ts';
import type { Clock } from '../kernel/clock.ts';
import { isFault } from '../kernel/fault.ts';
import type { HostIdentity } from '../kernel/host-identity.ts';
import type { Log } from '../kernel/log.ts';
import { partOf, type ReportProgress } from '../kernel/progress.ts';
import { limiterFor, type RateLimiter } from '../kernel/rates/rate-limiter.ts';
import { NVRAM_FILE, type PointDisk, type RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { PointWriter, Vault } from '../vault/vault.ts';
import type { NewPoint } from '../vault/writing/new-point.ts';
import type { BackupRequest } from './backup-request.ts';
import { changesSince, type DiskChanges } from './disk-changes.ts';
import { GuestHooks, type GuestCommandReport, type GuestRunner } from './guest-hooks.ts';
import { neededGenerations } from './needed-generations.ts';
import { missedChangesNote, pointNotes } from './point-notes.ts';
import { proofRanges } from './proof-ranges.ts';
import { GuestThrottle } from './throttle/guest-throttle.ts';

export interface BackupCollaborators {
  readonly engine: Pick<Engine, 'get' | 'claim' | 'freeze' | 'distrust'> & GuestRunner;
  readonly vaults: Pick<RegisteredVaults, 'open'>;
  readonly points: Pick<PointCatalog, 'newestOf' | 'put'>;
  readonly host: Pick<HostIdentity, 'id'>;
}

export interface BackupParts extends BackupCollaborators {
  readonly clock: Clock;
  readonly log: Log;
}

export interface Running {
  /** Identifies the holder of the VM for the engine. */
  readonly jobId: string;
  readonly signal: AbortSignal;
  readonly report: ReportProgress;
}

/** What one VM's backup holds from its beginning. */
interface Opened {
  readonly vmName: string;
  readonly isOff: boolean;
  readonly vault: Vault;
  readonly writer: PointWriter;
}

/** A claimed VM. */
interface Claimed {
  readonly claim: Claim;
  readonly hooks: GuestHooks;
}

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

/**
 * The backup of one VM in its steps: `open` the vault, so that a store that is away costs the VM
 * nothing; `take` the VM; see whether the run's point is `sealed` already; `freeze`; `store`. The
 * VM stays frozen (its guest runs on) until the point is sealed, because `commit` may have to read
 * again. Disposing of it gives everything back, in reverse.
 */
export class VmBackup implements AsyncDisposable {
  private claimed: Claimed | undefined;
  private frozenVm: FrozenVm | undefined;
  private throttle: GuestThrottle | undefined;

  private readonly parts: BackupParts;
  private readonly request: BackupRequest;
  private readonly held: AsyncDisposableStack;
  private readonly opened: Opened;

  private constructor(
    parts: BackupParts,
    request: BackupRequest,
    held: AsyncDisposableStack,
    opened: Opened,
  ) {
    this.parts = parts;
    this.request = request;
    this.held = held;
    this.opened = opened;
  }

  static async open(
    parts: BackupParts,
    request: BackupRequest,
    signal: AbortSignal,
  ): Promise<VmBackup> {
    const { name: vmName, status } = await parts.engine.get(request.vmId, signal);
    const { vmId, compressionLevel } = request;
    const vm = { vmId, vmName, ...(compressionLevel && { compressionLevel }) };
    const held = new AsyncDisposableStack();
    const { vault, writer } = held.use(await begin(parts.vaults, request.vaultId, vm, signal));
    const isOff = status === 'stopped';
    return new VmBackup(parts, request, held, { vmName, isOff, vault, writer });
  }

  get vmId(): string {
    return this.request.vmId;
  }

  get vmName(): string {
    return this.opened.vmName;
  }

  get hooks(): GuestHooks {
    return this.theClaimed.hooks;
  }

  /** What ran in its guest so far. */
  get reports(): readonly GuestCommandReport[] {
    return this.claimed?.hooks.reports ?? [];
  }

  get frozen(): FrozenVm {
    return assertDone(this.frozenVm, 'frozen');
  }

  /** How long it waited for the sake of the guest's writes; undefined if nobody asked for that. */
  get throttledMs(): number | undefined {
    return this.throttle && Math.round(this.throttle.waitedMs);
  }

  /** Claims the VM. @throws Fault `engine.vm-busy` */
  async take({ jobId, signal }: Pick<Running, 'jobId' | 'signal'>): Promise<void> {
    const { engine, log } = this.parts;
    const claim = this.held.use(await engine.claim(this.vmId, jobId, signal));
    const commands = this.opened.isOff ? undefined : this.request.guestCommands;
    this.claimed = { claim, hooks: new GuestHooks(engine, claim, commands, log) };
  }

  /** Returns the sealed points of the request's run, oldest first. Asks the vault. */
  async sealed(signal: AbortSignal): Promise<RecoveryPoint[]> {
    const run = this.request.origin?.run;
    return run === undefined
      ? []
      : (await this.opened.vault.points(signal, this.vmId)).filter(
          ({ origin }) => origin?.run === run,
        );
  }

  /** Freezes all disks at one instant, with the commands of the request around it. */
  async freeze(signal: AbortSignal, meeting?: FreezeMeeting): Promise<void> {
    const { engine, points, clock, log } = this.parts;
    const { claim, hooks } = this.theClaimed;
    const needed = neededGenerations(await points.newestOf(this.vmId));
    const frozen = await hooks.around(async () => {
      await meeting?.whenReady(signal);
      const crashConsistent = this.request.crashConsistent || hooks.hasFailed;
      const options = { jobToken: claim.jobId, claim, crashConsistent, meeting };
      return engine.freeze(this.vmId, { ...options, neededGenerations: needed }, signal);
    }, signal);
    this.frozenVm = this.held.use(frozen);
    const { guestLatency } = this.request;
    this.throttle = GuestThrottle.start(frozen, guestLatency, { clock, log });
    this.held.use(this.throttle);
  }

  /**
   * Stores what changed since the VM's newest point in the vault, and seals the point. A failure
   * leaves no point; the engine still knows the changes, and the next backup does not send again
   * what was uploaded.
   *
   * @param notes more of them, for people
   */
  async store(
    { signal, report }: Omit<Running, 'jobId'>,
    notes: readonly string[] = [],
  ): Promise<RecoveryPoint> {
    const { request, frozen, throttle } = this;
    const { vault, writer } = this.opened;
    const { claim, hooks } = this.theClaimed;
    const disks = await changesSince(writer.parent, frozen.disks, request.full);
    const distrusted = new Set<string>();
    const distrust = async ({ diskId, reason }: PointDisk): Promise<void> => {
      if (reason === 'tracking-wrong' && !distrusted.has(diskId)) {
        // With a signal of its own, so that cancelling the job does not lose what it found out.
        const own = AbortSignal.timeout(DISTRUST_MS_MAX);
        await this.parts.engine.distrust(request.vmId, diskId, own, claim);
        distrusted.add(diskId);
      }
    };
    const limiter = limiterFor(request.rateLimits, this.parts.clock, throttle);
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
          ...pointNotes(hooks.explained(frozen), writer.parent, disks),
          ...notes,
          ...hooks.notes(),
          ...missed.map((disk) => missedChangesNote(disk, earlier)),
          ...(throttle?.notes() ?? []),
        ],
        configuration: frozen.definition,
        origin: {
          ...(request.origin ?? { kind: 'hand', actor: currentActor() }),
          service: this.parts.host.id,
        },
      },
      signal,
    );
    // A commit may store disks once more.
    for (const disk of point.disks) {
      await distrust(disk);
    }
    await this.catalogue(point);
    return point;
  }

  /** Writes the row of a sealed point. */
  async catalogue(point: RecoveryPoint): Promise<void> {
    const { vaultId } = this.request;
    try {
      await this.parts.points.put(vaultId, point);
    } catch (error) {
      // The point is sealed, and the catalog is a copy: the next look at the vault updates it.
      this.parts.log.warn('catalog.point-not-written', { vaultId, pointId: point.id, error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.held.disposeAsync();
  }

  private get theClaimed(): Claimed {
    return assertDone(this.claimed, 'claimed');
  }
}

function assertDone<T>(value: T | undefined, what: string): T {
  assert(value !== undefined, `the VM is not ${what} yet`);
  return value;
}

/** Opens the vault again if its keys or format changed since it was opened. */
async function begin(
  vaults: BackupCollaborators['vaults'],
  vaultId: string,
  vm: NewPoint,
  signal: AbortSignal,
): Promise<Writing> {
  try {
    return await beginOnce(vaults, vaultId, vm, signal);
  } catch (error) {
    if (!isFault(error, 'vault.format-changed')) {
      throw error;
    }
    return beginOnce(vaults, vaultId, vm, signal);
  }
}

async function beginOnce(
  vaults: BackupCollaborators['vaults'],
  vaultId: string,
  vm: NewPoint,
  signal: AbortSignal,
): Promise<Writing> {
  await using held = new AsyncDisposableStack();
  const { vault } = held.use(await vaults.open(vaultId, 'writer', signal));
  const writer = held.use(await vault.beginPoint(vm, signal));
  return Object.assign(held.move(), { vault, writer });
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
