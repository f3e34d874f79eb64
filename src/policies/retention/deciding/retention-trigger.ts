import type { DueVault, RetentionRows } from '../../../catalog/retention-rows.ts';
import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import type { Jobs } from '../../../jobs/jobs.ts';
import { actingAs, SERVICE_ACTOR } from '../../../kernel/actor.ts';
import type { Log } from '../../../kernel/log.ts';
import { isReadable, type PolicyInForce } from '../../known-policy.ts';
import type { SchedulingClock } from '../../runs/scheduling-clock.ts';

const DAY_MS = 86_400_000;

export interface RetentionTriggerParts {
  readonly rows: Pick<RetentionRows, 'due' | 'begin'>;
  readonly policies: { list(): Promise<PolicyInForce[]> };
  readonly vaults: Pick<RegisteredVaults, 'list' | 'hasKey'>;
  readonly jobs: Pick<Jobs, 'start'>;
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

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.ticking;
  }

  private async work(): Promise<void> {
    const { rows, policies, vaults, clock, log } = this.parts;
    try {
      if (this.isStopped || (await clock.problem()) !== undefined) {
        return;
      }
      const nowMs = clock.nowMs();
      const due = await rows.due(nowMs - DAY_MS);
      if (due.length === 0) {
        return;
      }
      const inForce = (await policies.list()).filter(isReadable);
      const wanted = new Set(
        inForce
          .filter(({ document }) => document.retention !== undefined)
          .map(({ document }) => document.vault),
      );
      const names = new Map((await vaults.list()).map(({ id, name }) => [id, name]));
      for (const vault of due) {
        const name = names.get(vault.vaultId);
        if (name !== undefined && wanted.has(name) && (await vaults.hasKey(vault.vaultId))) {
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
