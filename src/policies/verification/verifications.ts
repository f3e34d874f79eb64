import { randomUUID } from 'node:crypto';
import type { NewestPoints } from '../../catalog/newest-points.ts';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type {
  StoredVerification,
  VerificationRows,
} from '../../catalog/verification/verification-rows.ts';
import { isFinished, type Job } from '../../jobs/job.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import { actingAs, SERVICE_ACTOR } from '../../kernel/actor.ts';
import { isFault } from '../../kernel/fault.ts';
import type { HostIdentity } from '../../kernel/host-identity.ts';
import type { Log } from '../../kernel/log.ts';
import type { VerifyParameters } from '../../restore/verify.job.ts';
import type { HostedVm } from '../hosted-vm.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../known-policy.ts';
import { AHEAD_MS_MAX } from '../retention/retention-plan.ts';
import type { SchedulingClock } from '../runs/scheduling-clock.ts';
import { afterVerification, isNotHere, type VerificationEnd } from './after-verification.ts';
import { dueVerifications, verificationRows } from './due-verifications.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Points that are found this late are left to scrubs. */
const SEALED_MS_MAX = 2 * DAY_MS;
/** New points that nobody may read wait so long. */
const WAITING_MS_MAX = 7 * DAY_MS;
/** A host that may not read a vault asks again after this: somebody may have given it the right. */
const REFUSED_MS = 10 * MINUTE_MS;
/** A host that died between the row and its job; and one that is slow to see the end. */
const UNSTARTED_MS = 10 * MINUTE_MS;
const SEEN_MS = MINUTE_MS;

const REQUESTS_MAX = 20_000;

/** What is done about new points. */
export interface SealedOptions {
  readonly isOn: boolean;
  /** What the verification of one may read. */
  readonly bytes: number;
}

export interface VerificationParts {
  readonly host: Pick<HostIdentity, 'id' | 'name'>;
  readonly rows: VerificationRows;
  readonly policies: { list(): Promise<PolicyInForce[]> };
  readonly vms: (signal: AbortSignal) => Promise<HostedVm[]>;
  readonly newest: Pick<NewestPoints, 'of'>;
  readonly vaults: Pick<RegisteredVaults, 'list' | 'hasKey' | 'credentialsOf'>;
  readonly jobs: Pick<Jobs, 'start' | 'get' | 'watch'>;
  readonly clock: SchedulingClock;
  readonly log: Log;
}

/**
 * Has new points verified, and others as policies say: one at a time on each host, by whichever
 * host of the database may read them.
 */
export class Verifications {
  private readonly stopping = new AbortController();
  /** Vaults that this host may not read, until when, and with which credentials. */
  private readonly refused = new Map<string, { readonly untilMs: number; readonly with: string }>();
  private ticking: Promise<void> | undefined;
  private again = false;

  constructor(
    private readonly parts: VerificationParts,
    private readonly sealed: SealedOptions,
  ) {}

  /** Looks at what is due and what has ended. Never fails: the next tick tries again. */
  async tick(): Promise<void> {
    this.again = true;
    this.ticking ??= actingAs(SERVICE_ACTOR, () => this.work()).finally(() => {
      this.ticking = undefined;
    });
    await this.ticking;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.ticking;
  }

  private async work(): Promise<void> {
    while (this.again && !this.stopping.signal.aborted) {
      this.again = false;
      try {
        if ((await this.parts.clock.problem()) === undefined) {
          await this.look(this.parts.clock.nowMs());
        }
      } catch (error) {
        this.parts.log.warn('verification.not-begun', { error });
      }
    }
  }

  private async look(nowMs: number): Promise<void> {
    const { rows, policies } = this.parts;
    const inForce = (await policies.list()).filter(isReadable);
    if (this.sealed.isOn) {
      await rows.addSealed(nowMs - SEALED_MS_MAX, nowMs);
    }
    await this.fire(inForce, nowMs);
    const known = new Map(inForce.map((policy) => [policy.id, policy]));
    const left: StoredVerification[] = [];
    for (const row of await rows.open()) {
      left.push(row.state === 'running' ? await this.settle(row, nowMs) : row);
    }
    const mayTry = new Map<string, boolean>();
    let isBusy = left.some(
      ({ state, hostId }) => state === 'running' && hostId === this.parts.host.id,
    );
    for (const row of left.filter(({ state }) => state === 'due')) {
      if ((await this.dropped(row, known, nowMs)) || isBusy) {
        continue;
      }
      const { vaultId } = row;
      mayTry.set(vaultId, mayTry.get(vaultId) ?? (await this.mayTry(vaultId, nowMs)));
      isBusy = mayTry.get(vaultId) === true && (await this.begin(row, known, nowMs));
    }
  }

  /** Writes down what policies want verified now. */
  private async fire(policies: readonly KnownPolicy[], nowMs: number): Promise<void> {
    const { rows, vms, newest, vaults } = this.parts;
    const wanting = policies.filter(({ document }) => document.verification !== undefined);
    if (wanting.length === 0) {
      return;
    }
    const ids = new Map((await vaults.list()).map(({ name, id }) => [name, id]));
    const facts = { vms: await vms(this.stopping.signal), vaults: ids, last: await rows.last() };
    const wanted = dueVerifications(wanting, { ...facts, nowMs });
    if (wanted.length > 0) {
      await rows.add(verificationRows(wanted, await newest.of(wanted, nowMs + AHEAD_MS_MAX)));
    }
  }

  /** Brings one up to date with its job. Those of other hosts only if these do not. */
  private async settle(row: StoredVerification, nowMs: number): Promise<StoredVerification> {
    const { rows, host } = this.parts;
    const isOwn = row.hostId === host.id;
    const job = await this.jobOf(row);
    if (job === undefined) {
      const isLost = isOwn || nowMs - row.nextTryAtMs > UNSTARTED_MS;
      const change = { state: 'due', jobId: null, attempt: row.attempt - 1 };
      return isLost && (await rows.change(row, change)) ? { ...row, ...change } : row;
    }
    const { finishedAtMs = nowMs } = job;
    if (!isFinished(job) || (!isOwn && nowMs - finishedAtMs < SEEN_MS)) {
      return row;
    }
    return this.end(row, job, nowMs);
  }

  private async end(
    row: StoredVerification,
    end: VerificationEnd,
    nowMs: number,
  ): Promise<StoredVerification> {
    const { rows, host, log } = this.parts;
    const { id, vaultId, pointId, vmName: vm } = row;
    if (isNotHere(end) && row.hostId === host.id) {
      const untilMs = nowMs + REFUSED_MS;
      this.refused.set(vaultId, { untilMs, with: await this.credentialsOf(vaultId) });
      log.info('verification.not-here', { vaultId, code: end.fault?.code });
    }
    const change = afterVerification(row, end, { nowMs, host: host.name });
    if (!(await rows.change(row, change))) {
      return { ...row, state: 'unknown' };
    }
    const facts = { id, vaultId, pointId, vm, state: change.state, why: change.why };
    if (change.state === 'damaged') {
      log.error('verification.damage-found', facts);
    } else {
      log.info('verification.changed', facts);
    }
    return { ...row, ...change };
  }

  private async jobOf({ jobId }: StoredVerification): Promise<Job | undefined> {
    try {
      return jobId === null ? undefined : await this.parts.jobs.get(jobId);
    } catch (error) {
      if (isFault(error, 'job.unknown')) {
        return undefined;
      }
      throw error;
    }
  }

  /** Ends what nobody wants any more, or nobody can do. */
  private async dropped(
    row: StoredVerification,
    policies: ReadonlyMap<string, KnownPolicy>,
    nowMs: number,
  ): Promise<boolean> {
    const isOld = row.policyId === null && nowMs - row.dueAtMs > WAITING_MS_MAX;
    const isUnwanted =
      row.policyId !== null && policies.get(row.policyId)?.document.verification === undefined;
    if (isOld || isUnwanted) {
      const why = isOld
        ? `in a week nobody read it: ${row.why ?? 'no host had time'}`
        : 'no policy wants it any more';
      await this.parts.rows.change(row, { state: 'skipped', why, endedAtMs: nowMs });
    }
    return isOld || isUnwanted;
  }

  /** @returns whether it has a job now */
  private async begin(
    row: StoredVerification,
    policies: ReadonlyMap<string, KnownPolicy>,
    nowMs: number,
  ): Promise<boolean> {
    const { rows, vaults, jobs, host } = this.parts;
    const { vaultId, vmId, vmName, attempt } = row;
    const rests = row.policyId !== null && policies.get(row.policyId)?.paused === true;
    if (row.nextTryAtMs > nowMs || rests) {
      return false;
    }
    const vaultName = (await vaults.list()).find(({ id }) => id === vaultId)?.name;
    const jobId = randomUUID();
    // The job's id is written first: whoever starts after a crash finds the job, or that there is
    // none.
    const begun = { state: 'running', hostId: host.id, jobId, attempt: attempt + 1 };
    if (vaultName === undefined || !(await rows.change(row, { ...begun, nextTryAtMs: nowMs }))) {
      return false;
    }
    const stop = this.watch(jobId);
    try {
      await jobs.start({
        ...{ id: jobId, kind: 'prove', subject: { vmId, vmName, vaultId, vaultName } },
        parameters: this.parametersOf(row),
        exclusiveKey: `prove ${row.key}`,
      });
      return true;
    } catch (error) {
      stop();
      if (!isFault(error) || error.code.startsWith('database.')) {
        throw error;
      }
      const { code, message, context } = error;
      await this.end(
        { ...row, ...begun },
        { state: 'failed', fault: { code, message, context } },
        nowMs,
      );
      return false;
    }
  }

  private async mayTry(vaultId: string, nowMs: number): Promise<boolean> {
    const refused = this.refused.get(vaultId);
    const isRefused =
      refused !== undefined &&
      refused.untilMs > nowMs &&
      refused.with === (await this.credentialsOf(vaultId));
    return !isRefused && (await this.parts.vaults.hasKey(vaultId));
  }

  private async credentialsOf(vaultId: string): Promise<string> {
    return JSON.stringify(await this.parts.vaults.credentialsOf(vaultId));
  }

  private parametersOf({
    vaultId,
    pointId,
    policyId,
    level,
  }: StoredVerification): VerifyParameters {
    const limits = { bytes: this.sealed.bytes, requests: REQUESTS_MAX };
    return policyId === null
      ? { vaultId, pointId, level: 1, added: true, limits }
      : { vaultId, pointId, level: level as VerifyParameters['level'], limits: {} };
  }

  /** @returns what ends the watch early */
  private watch(jobId: string): () => void {
    const stop = this.parts.jobs.watch(jobId, (job) => {
      if (isFinished(job)) {
        stop();
        void this.tick();
      }
    });
    return stop;
  }
}
