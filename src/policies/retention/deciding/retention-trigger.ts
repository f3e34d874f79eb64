import type { DueVault, RetentionRows } from '../../../catalog/retention-rows.ts';
import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import { isFinished } from '../../../jobs/job.ts';
import type { Jobs } from '../../../jobs/jobs.ts';
import { actingAs, SERVICE_ACTOR } from '../../../kernel/actor.ts';
import type { Log } from '../../../kernel/log.ts';
import { isReadable, type PolicyInForce } from '../../known-policy.ts';
import type { SchedulingClock } from '../../runs/scheduling-clock.ts';

const DAY_MS = 86_400_000;
/** More vaults are not decided about at once. */
const RETAINS_SHOWN = 100;

export interface RetentionTriggerParts {
  readonly rows: Pick<RetentionRows, 'due' | 'begin' | 'looks'>;
  readonly policies: { list(): Promise<PolicyInForce[]> };
  readonly vaults: Pick<RegisteredVaults, 'list' | 'hasKey'>;
  readonly jobs: Pick<Jobs, 'start' | 'list'>;
  readonly clock: SchedulingClock;
  readonly log: Log;
}

/** Only one unfinished job can have it. */
function retainKey(vaultId: string): string {
  return `retain ${vaultId}`;
}

/** Has it decided about the points of vaults after runs of policies, and once a day. */
export class RetentionTrigger {
  private ticking: Promise<void> | undefined;
  private isStopped = false;

  constructor(private readonly parts: RetentionTriggerParts) {}

  /** Starts a job for each vault for which it is time. Never fails: the next tick tries again. */
  async tick(): Promise<void> {
    this.ticking ??= actingAs(SERVICE_ACTOR, () => this.work()).finally(() => {
      this.ticking = undefined;
    });
    await this.ticking;
  }

  /**
   * Has it decided about the points of a vault, unless that was done since an instant. Call it
   * again until it returns true.
   * @returns true when nobody decides about them any more, or policies have no say about them
   */
  async decidedSince(vaultId: string, sinceMs: number): Promise<boolean> {
    const { rows, clock } = this.parts;
    const name = (await this.wanted()).get(vaultId);
    if (name === undefined || (await this.isDeciding(vaultId))) {
      return name === undefined;
    }
    const look = (await rows.looks()).find((each) => each.vaultId === vaultId);
    if (look !== undefined && look.atMs >= sinceMs) {
      return true;
    }
    const { atMs: lookedAtMs, newestPointId = null } = look ?? {};
    const due = { vaultId, lookedAtMs, newestPointId };
    await this.begin(due, name, clock.nowMs());
    return false;
  }

  private async isDeciding(vaultId: string): Promise<boolean> {
    const jobs = await this.parts.jobs.list({ kind: 'retain', limit: RETAINS_SHOWN });
    return jobs.some((job) => job.subject.vaultId === vaultId && !isFinished(job));
  }

  /** Returns the vaults that have policies with retention, by their ids. */
  private async wanted(): Promise<ReadonlyMap<string, string>> {
    const inForce = (await this.parts.policies.list()).filter(isReadable);
    const wanted = new Set(
      inForce
        .filter(({ document }) => document.retention !== undefined)
        .map(({ document }) => document.vault),
    );
    const vaults = await this.parts.vaults.list();
    return new Map(vaults.filter(({ name }) => wanted.has(name)).map(({ id, name }) => [id, name]));
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.ticking;
  }

  private async work(): Promise<void> {
    const { rows, vaults, clock, log } = this.parts;
    try {
      if (this.isStopped || (await clock.problem()) !== undefined) {
        return;
      }
      const nowMs = clock.nowMs();
      const due = await rows.due(nowMs - DAY_MS);
      if (due.length === 0) {
        return;
      }
      const wanted = await this.wanted();
      for (const vault of due) {
        const name = wanted.get(vault.vaultId);
        if (name !== undefined && (await vaults.hasKey(vault.vaultId))) {
          await this.begin(vault, name, nowMs);
        }
      }
    } catch (error) {
      log.warn('retention.not-begun', { error });
    }
  }

  private async begin(vault: DueVault, vaultName: string, nowMs: number): Promise<void> {
    const { rows, jobs } = this.parts;
    if (this.isStopped || !(await rows.begin(vault, nowMs))) {
      return;
    }
    const { vaultId, lookedAtMs = 0 } = vault;
    try {
      await jobs.start({
        kind: 'retain',
        subject: { vaultId, vaultName },
        parameters: { vaultId },
        exclusiveKey: retainKey(vaultId),
      });
    } catch (error) {
      await rows.begin({ vaultId, lookedAtMs: nowMs, newestPointId: null }, lookedAtMs);
      throw error;
    }
  }
}
