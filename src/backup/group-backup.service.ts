import { FreezeMeeting, type LateGuests } from '../engines/freeze-meeting.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import type { Progress, ReportProgress } from '../kernel/progress.ts';
import { mapAtOnce } from '../kernel/waiting/map-at-once.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { BackupRequest } from './backup-request.ts';
import { takenBy, type TakenPoint } from './backup.service.ts';
import type { GuestCommandReport } from './guest-hooks.ts';
import { VmBackup, type BackupCollaborators, type BackupParts, type Running } from './vm-backup.ts';

/** A VM of a group, and the run whose result its point is. */
export interface GroupMember {
  readonly vmId: string;
  readonly run: string;
}

export interface GroupRules {
  /** How long guests may take to freeze, from when all VMs are prepared. */
  readonly freezeWithinMs: number;
  /** How far the snapshots of two VMs may be apart. */
  readonly spreadMs: number;
  readonly late: LateGuests;
}

/** What a backup of several VMs at one moment is asked for. */
export interface GroupBackupRequest extends Omit<BackupRequest, 'vmId'> {
  readonly members: readonly GroupMember[];
  readonly rules: GroupRules;
  /** Without what differs between the members. */
  readonly origin: NonNullable<BackupRequest['origin']>;
}

/** Points of one moment. */
export interface TakenGroup {
  /** Each point has it as the `group` of its origin. */
  readonly groupId: string;
  /** Whether every member has a sealed point. */
  readonly isComplete: boolean;
  /** Names of the members that have none. */
  readonly missing: readonly string[];
  /** From before the first to after the last snapshot; undefined if nothing was frozen. */
  readonly skewMs?: number;
  readonly points: readonly TakenPoint[];
  /** Of members without a point. */
  readonly guestCommands: readonly (GuestCommandReport & { readonly vmName: string })[];
  readonly durationMs: number;
}

/** A set that was begun and is not complete, and why. */
export class GroupFailed extends Error {
  override readonly name = 'GroupFailed';

  readonly fault: Fault;
  readonly taken: TakenGroup;

  constructor(fault: Fault, taken: TakenGroup) {
    super(fault.message, { cause: fault });
    this.fault = fault;
    this.taken = taken;
  }
}

/** Members that are stored at once. */
const STORED_AT_ONCE = 4;

/** Takes recovery points of several VMs at one moment. */
export class GroupBackupService {
  private readonly parts: BackupParts;

  constructor(collaborators: BackupCollaborators, clock: Clock, log: Log) {
    this.parts = { ...collaborators, clock, log };
  }

  /**
   * Takes a set of points: claims all VMs or none, freezes them at one moment, and stores them. If
   * one fails, points that were sealed before stay, and the set is incomplete: an attempt after
   * this one takes a new moment, because the others cannot go back to this one.
   *
   * @throws GroupFailed if anything was done before
   */
  async take(request: GroupBackupRequest, running: Running): Promise<TakenGroup> {
    const attempt = new Attempt(this.parts, request, running);
    try {
      return await attempt.run();
    } catch (error) {
      throw running.signal.aborted ? error : attempt.failed(error);
    }
  }
}

/** One attempt to take a set. Its id is that of the job. */
class Attempt {
  private readonly parts: BackupParts;
  private readonly request: GroupBackupRequest;
  private readonly running: Running;
  private readonly startedMs: number;
  private readonly backups: VmBackup[] = [];
  private readonly points: TakenPoint[] = [];
  private skewMs: number | undefined;

  constructor(parts: BackupParts, request: GroupBackupRequest, running: Running) {
    this.parts = parts;
    this.request = request;
    this.running = running;
    this.startedMs = parts.clock.monotonicMs();
  }

  async run(): Promise<TakenGroup> {
    const { signal } = this.running;
    await using held = new AsyncDisposableStack();
    this.running.report({ phase: 'preparing', doneBytes: 0, totalBytes: 0 });
    for (const member of this.request.members) {
      const backup = await VmBackup.open(this.parts, this.requestOf(member), signal);
      this.backups.push(held.use(backup));
    }
    this.running.report({ phase: 'freezing', doneBytes: 0, totalBytes: 0 });
    for (const backup of this.backups) {
      await ofMember(backup, async () => backup.take(this.running));
    }
    const found = await this.found(signal);
    if (found !== undefined) {
      return found;
    }
    await this.freeze(signal);
    await this.store();
    return this.taken();
  }

  /** Returns the error with what was done before it, if anything was. */
  failed(error: unknown): unknown {
    const taken = this.taken();
    const isWorthTelling = taken.points.length > 0 || taken.guestCommands.length > 0;
    return isFault(error) && isWorthTelling ? new GroupFailed(error, taken) : error;
  }

  private requestOf({ vmId, run }: GroupMember): BackupRequest {
    const { members, origin, ...request } = this.request;
    const set = { group: this.running.jobId, members: members.map((member) => member.vmId) };
    return { ...request, vmId, origin: { ...origin, kind: 'group', run, ...set } };
  }

  /** Returns the set of an earlier attempt of the same runs, if it is complete. */
  private async found(signal: AbortSignal): Promise<TakenGroup | undefined> {
    const sealed = await mapAtOnce(this.backups, STORED_AT_ONCE, async (backup) =>
      backup.sealed(signal),
    );
    const groups = (sealed[0] ?? []).flatMap(({ origin }) => origin?.group ?? []);
    for (const groupId of groups.reverse()) {
      const points = sealed.flatMap((each) => each.findLast((point) => isOf(point, groupId)) ?? []);
      if (points.length === this.backups.length) {
        this.parts.log.info('backup.group-found', { groupId });
        await Promise.all(points.map(async (point, at) => this.backups[at]?.catalogue(point)));
        const nothing = { durationMs: 0, guestFrozenMs: 0, transactionMs: 0, guestCommands: [] };
        this.points.push(...points.map((point) => ({ point, ...nothing, found: true })));
        return { ...this.taken(), groupId };
      }
    }
    return undefined;
  }

  /** @throws Fault `backup.group-skewed` if the snapshots are too far apart */
  private async freeze(signal: AbortSignal): Promise<void> {
    const { freezeWithinMs, spreadMs, late } = this.request.rules;
    const meeting = new FreezeMeeting(this.backups.length, { withinMs: freezeWithinMs, late });
    const failures: unknown[] = [];
    await Promise.all(
      this.backups.map(async (backup) => {
        try {
          await ofMember(backup, async () => backup.freeze(signal, meeting));
        } catch (error) {
          // The first is why; the others only wait for it.
          failures.push(error);
          meeting.fail(error);
        }
      }),
    );
    if (failures.length > 0) {
      throw failures[0];
    }
    const times = this.backups.flatMap(({ frozen }) => frozen.transaction ?? []);
    const from = Math.min(...times.map(({ fromMs }) => fromMs));
    this.skewMs = times.length === 0 ? 0 : Math.max(...times.map(({ toMs }) => toMs)) - from;
    if (this.skewMs > spreadMs) {
      throw new Fault(
        'backup.group-skewed',
        `The snapshots of ${namesOf(this.backups)} were taken within ${String(Math.ceil(this.skewMs))} ms; the policy allows ${String(spreadMs)} ms.`,
        { skewMs: Math.ceil(this.skewMs), spreadMs },
      );
    }
  }

  private async store(): Promise<void> {
    const { signal } = this.running;
    const { clock } = this.parts;
    const together = new TotalProgress(this.running.report);
    await mapAtOnce(this.backups, STORED_AT_ONCE, async (backup) => {
      await ofMember(backup, async () => {
        const report = together.part();
        const point = await backup.store({ signal, report }, [this.noteFor(backup)]);
        const durationMs = clock.monotonicMs() - this.startedMs;
        this.points.push({ ...takenBy(backup, point), durationMs });
      });
      // Merged while the others are still being read.
      await backup[Symbol.asyncDispose]();
    });
  }

  private noteFor(backup: VmBackup): string {
    const others = this.backups.filter((other) => other !== backup);
    const skew = `${String(Math.ceil(this.skewMs ?? 0))} ms`;
    return others.length === 0
      ? 'Taken as a group of one.'
      : `Taken at one moment with ${namesOf(others)} (within ${skew}).`;
  }

  private taken(): TakenGroup {
    const done = new Set(this.points.map(({ point }) => point.vmId));
    const undone = this.backups.filter(({ vmId }) => !done.has(vmId));
    return {
      groupId: this.running.jobId,
      isComplete: this.points.length === this.request.members.length,
      missing: undone.map(({ vmName }) => vmName),
      ...(this.skewMs !== undefined && { skewMs: Math.ceil(this.skewMs) }),
      points: this.points,
      guestCommands: undone.flatMap(({ vmName, reports }) =>
        reports.map((report) => ({ vmName, ...report })),
      ),
      durationMs: Math.round(this.parts.clock.monotonicMs() - this.startedMs),
    };
  }
}

function isOf({ origin }: RecoveryPoint, groupId: string): boolean {
  return origin?.group === groupId;
}

const NAMES_SHOWN = 8;

function namesOf(backups: readonly VmBackup[]): string {
  const names = backups.slice(0, NAMES_SHOWN).map(({ vmName }) => vmName);
  const more = backups.length - names.length;
  return names.join(', ') + (more > 0 ? ` and ${String(more)} more` : '');
}

/** Says in a fault of whom it is. */
async function ofMember<T>({ vmId, vmName }: VmBackup, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What a meeting throws at all of them names its VM already.
    if (!isFault(error) || 'vmName' in error.context) {
      throw error;
    }
    const context = { ...error.context, vmId, vmName };
    throw new Fault(error.code, `${vmName}: ${error.message}`, context, { cause: error });
  }
}

/** Adds up the progress of parts that go on at once. */
class TotalProgress {
  private readonly parts: Progress[] = [];

  private readonly report: ReportProgress;

  constructor(report: ReportProgress) {
    this.report = report;
  }

  part(): ReportProgress {
    const at = this.parts.length;
    this.parts.push({ phase: 'reading', doneBytes: 0, totalBytes: 0 });
    return (progress) => {
      this.parts[at] = progress;
      this.report({
        ...progress,
        doneBytes: this.parts.reduce((sum, { doneBytes }) => sum + doneBytes, 0),
        totalBytes: this.parts.reduce((sum, { totalBytes }) => sum + totalBytes, 0),
      });
    };
  }
}
