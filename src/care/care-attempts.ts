import { randomUUID } from 'node:crypto';
import type { CareRunChange, CareRunRows, StoredCareRun } from '../catalog/care/care-run-rows.ts';
import type { CareTasks, CareTrouble } from '../catalog/care/care-tasks.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { isFinished, type Job } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { actingAs } from '../kernel/actor.ts';
import { FAULTS, isFault, type Fault, type FaultCode } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { isInWindow } from '../kernel/time/time-window.ts';
import { wallOf } from '../kernel/time/zone-time.ts';
import type { RetryRules } from '../policies/runs/after-attempt.ts';
import { earliestStart } from '../policies/schedule/due-times.ts';
import { nextFireTime } from '../policies/schedule/fire-times.ts';
import {
  afterCare,
  lagTrouble,
  WINDOW_OVER,
  type CareAttemptEnd,
  type CareEnd,
} from './care-end.ts';
import { CARE_ROLES, careRequest } from './care-request.ts';
import type { CareTask } from './care-task.ts';

const REFUSED_MS = 60_000;
const NOBODY = 'no service has its key, or credentials for it';

export interface CareAttemptParts {
  readonly hostId: string;
  readonly rows: Pick<CareRunRows, 'change' | 'decline'>;
  readonly tasks: Pick<CareTasks, 'trouble' | 'well' | 'followed' | 'nextChange'>;
  readonly vaults: Pick<RegisteredVaults, 'canAct'>;
  readonly jobs: Pick<Jobs, 'start' | 'get' | 'watch' | 'cancel'>;
  readonly retention: {
    /** Whether it was decided about the points of a vault since then; else it is soon. */
    decidedSince(vaultId: string, sinceMs: number): Promise<boolean>;
  };
  readonly log: Log;
  /** Called when a job of a run has ended. */
  readonly onEnd: () => void;
}

/** What is known at one look. */
export interface CareLook {
  readonly nowMs: number;
  /** Ids of the hosts whose services were seen lately. */
  readonly live: readonly string[];
}

/** Turns runs of the care of vaults into jobs, and the ends of jobs into those of runs. */
export class CareAttempts {
  constructor(
    private readonly parts: CareAttemptParts,
    /** Waiting times before the next attempt, while something is unavailable. */
    private readonly backoffMs: readonly number[],
  ) {}

  /**
   * Brings a run that has a job up to date with it, whoever began it: its service may be gone.
   * @returns the run as it is then, as far as this service knows
   */
  async settle(run: StoredCareRun, task: CareTask | undefined, look: CareLook): Promise<void> {
    const { hostId } = this.parts;
    const job = await this.jobOf(run);
    const isOrphan = run.hostId === hostId || !look.live.includes(run.hostId ?? '');
    if (job === undefined) {
      if (isOrphan) {
        // A service ended between writing the id of the job and starting it.
        await this.change(run, { state: 'due', attempt: run.attempt - 1, jobId: null });
      }
    } else if (isFinished(job)) {
      await this.end(run, job, task, look.nowMs);
    } else if (job.state !== run.state) {
      await this.change(run, { state: job.state });
    } else if (run.hostId === hostId && task !== undefined && isOver(run, task, look.nowMs)) {
      await this.stop(run, job);
    }
  }

  /** Starts a run that is due, if this service can. */
  async start(run: StoredCareRun, task: CareTask, look: CareLook): Promise<void> {
    const { hostId, vaults } = this.parts;
    if (!(await vaults.canAct(run.vaultId, CARE_ROLES[task.kind]))) {
      await this.decline(run, look);
    } else if (run.attempt > 0 && run.declined.includes(hostId)) {
      await this.failIfAlone(run, run.declined, look);
    } else if (task.kind !== 'prune' || (await this.isDecided(run))) {
      await this.attempt(run, task, look.nowMs);
    }
  }

  /** Ends a run of a task that is not wanted any more. */
  async drop(run: StoredCareRun, nowMs: number): Promise<void> {
    await this.change(run, { state: 'skipped', why: 'not wanted any more', endedAtMs: nowMs });
  }

  /** Says why a task cannot be done, once: of all services to one. */
  async tellTrouble(run: Named, why: CareTrouble, nowMs: number): Promise<void> {
    const { tasks, log } = this.parts;
    if (await tasks.trouble(run, why, nowMs)) {
      log.warn('care.trouble', { vault: run.vaultName, task: run.task, reason: why.text });
    }
  }

  /** Says that a task that could not be done can be, once. */
  async tellWell(run: Named): Promise<void> {
    const { tasks, log } = this.parts;
    if (await tasks.well(run)) {
      log.info('care.well', { vault: run.vaultName, task: run.task });
    }
  }

  /** Points that are given up first are freed by the same prune. */
  private async isDecided({ vaultId, fireAtMs }: StoredCareRun): Promise<boolean> {
    try {
      return await this.parts.retention.decidedSince(vaultId, fireAtMs);
    } catch (error) {
      if (isFault(error, 'job.conflict') || isFault(error, 'job.refused')) {
        return false;
      }
      throw error;
    }
  }

  private async attempt(run: StoredCareRun, task: CareTask, nowMs: number): Promise<void> {
    const { hostId, jobs, rows, tasks } = this.parts;
    const jobId = randomUUID();
    const begun = {
      ...{ state: 'queued', why: null, attempt: run.attempt + 1, jobId, hostId },
      ...{ revision: task.revision, change: await tasks.nextChange() },
    };
    const stop = this.watch(jobId);
    // The job's id is written first: whoever looks after a crash finds the job, or that there is
    // none.
    if (!(await rows.change(run, begun))) {
      stop();
      return;
    }
    try {
      const request = careRequest(task, { jobId, hostId });
      await actingAs(run.actor ?? undefined, async () => jobs.start(request));
    } catch (error) {
      stop();
      if (!isFault(error) || error.code.startsWith('database.')) {
        throw error;
      }
      await this.refused({ ...run, ...begun }, error, task, nowMs);
    }
  }

  private async refused(
    run: StoredCareRun,
    fault: Fault,
    task: CareTask,
    nowMs: number,
  ): Promise<void> {
    if (fault.code === 'job.refused') {
      const nextTryAtMs = nowMs + REFUSED_MS;
      const why = 'the service is busy';
      await this.change(run, { state: 'due', attempt: run.attempt - 1, nextTryAtMs, why });
      return;
    }
    const { code, message, context } = fault;
    await this.end(run, { state: 'failed', fault: { code, message, context } }, task, nowMs);
  }

  private async end(
    run: StoredCareRun,
    end: CareAttemptEnd,
    task: CareTask | undefined,
    nowMs: number,
  ): Promise<void> {
    if (isDenied(end) && run.hostId !== null) {
      await this.deny(run, end);
      return;
    }
    const after = afterCare(run, end, this.rulesOf(run, task, nowMs));
    if (await this.change(run, inWindow(after.change, task))) {
      await this.say(run, after, task?.copy !== undefined, nowMs);
    }
  }

  private rulesOf(run: StoredCareRun, task: CareTask | undefined, nowMs: number): RetryRules {
    // Nobody wants it any more: it is not tried again.
    const untilMs = task === undefined ? nowMs : nextFireTime(task.schedule, run.fireAtMs);
    return { nowMs, untilMs: untilMs ?? Infinity, backoffMs: this.backoffMs };
  }

  private async say(
    run: StoredCareRun,
    after: CareEnd,
    isCopy: boolean,
    nowMs: number,
  ): Promise<void> {
    const says = after.says ?? (isCopy ? lagTrouble(after) : undefined);
    if (says === 'well') {
      if (isCopy && run.change !== null) {
        await this.parts.tasks.followed(run, run.change, nowMs);
      }
      await this.tellWell(run);
    } else if (says !== undefined) {
      await this.tellTrouble(run, says, nowMs);
    }
  }

  /** The store refuses this host: another one may have the rights. */
  private async deny(run: StoredCareRun, { fault }: CareAttemptEnd): Promise<void> {
    const change = { state: 'due', why: 'tries another host', fault };
    if (await this.change(run, change)) {
      await this.parts.rows.decline(run, run.hostId ?? '');
      this.parts.onEnd();
    }
  }

  private async decline(run: StoredCareRun, look: CareLook): Promise<void> {
    const { rows, hostId } = this.parts;
    const declined = run.declined.includes(hostId) ? run.declined : await rows.decline(run, hostId);
    await this.failIfAlone(run, declined, look);
  }

  /** If no host that is there can do it, says so. Without an attempt the run goes on waiting. */
  private async failIfAlone(
    run: StoredCareRun,
    declined: readonly string[],
    { live, nowMs }: CareLook,
  ): Promise<void> {
    if (!live.every((id) => declined.includes(id))) {
      return;
    }
    const fault = run.fault as Job['fault'] | null;
    if (run.attempt > 0 && fault) {
      if (await this.change(run, { state: 'failed', why: null, endedAtMs: nowMs })) {
        await this.tellTrouble(run, { text: fault.message, code: fault.code }, nowMs);
      }
    } else {
      await this.tellTrouble(run, { text: NOBODY }, nowMs);
      if (run.why !== NOBODY) {
        await this.change(run, { why: NOBODY });
      }
    }
  }

  private async stop(run: StoredCareRun, { id }: Job): Promise<void> {
    if (await this.change(run, { why: WINDOW_OVER })) {
      await this.parts.jobs.cancel(id);
      this.parts.onEnd();
    }
  }

  private watch(jobId: string): () => void {
    const stop = this.parts.jobs.watch(jobId, (job) => {
      if (isFinished(job)) {
        stop();
        this.parts.onEnd();
      }
    });
    return stop;
  }

  private async jobOf({ jobId }: StoredCareRun): Promise<Job | undefined> {
    try {
      return jobId === null ? undefined : await this.parts.jobs.get(jobId);
    } catch (error) {
      if (isFault(error, 'job.unknown')) {
        return undefined;
      }
      throw error;
    }
  }

  private async change(run: StoredCareRun, change: CareRunChange): Promise<boolean> {
    const isOurs = await this.parts.rows.change(run, change);
    if (isOurs && change.state !== undefined && change.state !== 'running') {
      const { state, why, nextTryAtMs } = change;
      const { id, vaultName: vault, task } = run;
      this.parts.log.info('care.changed', { runId: id, vault, task, state, why, nextTryAtMs });
    }
    return isOurs;
  }
}

/** Another attempt waits until the window of its schedule is open. */
function inWindow(change: CareRunChange, task: CareTask | undefined): CareRunChange {
  const { nextTryAtMs } = change;
  return task === undefined || nextTryAtMs === undefined
    ? change
    : { ...change, nextTryAtMs: earliestStart(task.schedule, nextTryAtMs) };
}

/** Of whom something is told. */
type Named = Pick<StoredCareRun, 'vaultId' | 'vaultName' | 'task'>;

/** True once the window of a run that is under way has closed. */
function isOver(run: StoredCareRun, { schedule }: CareTask, nowMs: number): boolean {
  const { window, zone } = schedule;
  const isAsked = run.actor !== null || run.why === WINDOW_OVER;
  return window !== undefined && !isAsked && !isInWindow(window, wallOf(zone, nowMs));
}

function isDenied({ state, fault }: CareAttemptEnd): boolean {
  const code = fault?.code ?? '';
  return state === 'failed' && Object.hasOwn(FAULTS, code)
    ? FAULTS[code as FaultCode].kind === 'denied'
    : false;
}
