import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import { syncIfPossible } from '../../../catalog/catalogue-points.ts';
import type { RetentionRows } from '../../../catalog/retention-rows.ts';
import type { VaultApart } from '../../../catalog/stored-vaults.ts';
import type { Log } from '../../../kernel/log.ts';
import type { Running } from '../../../kernel/progress.ts';
import { Spending } from '../../../vault/budget/spending.ts';
import { listVault, type ListedVault } from '../../../vault/retention/listed-vault.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import type { Vault } from '../../../vault/vault.ts';
import type { PolicyInForce } from '../../known-policy.ts';
import type { SchedulingClock } from '../../runs/scheduling-clock.ts';
import { lockedUntil } from './point-locks.ts';
import { RetentionExecution } from './retention-execution.ts';
import { dueOf, planRetention, type PointDecision } from '../retention-plan.ts';
import type { PublishedDecisions } from './published-decisions.ts';
import type { RetentionReport, ReportedPoint, WaitingRevision } from './retention-report.ts';
import type { StandingJudges } from './standing-judges.ts';
import type { VaultFacts } from './vault-facts.ts';

export interface RetentionParts {
  readonly vaults: Pick<RegisteredVaults, 'openApart' | 'sync'>;
  readonly policies: { list(): Promise<PolicyInForce[]> };
  readonly facts: VaultFacts;
  readonly judges: StandingJudges;
  readonly rows: Pick<RetentionRows, 'decide'>;
  readonly published: PublishedDecisions;
  readonly clock: Pick<SchedulingClock, 'nowMs'>;
  readonly log: Log;
}

export interface RetentionRequest {
  readonly vaultId: string;
  /** Only decides, writes nothing and gives nothing up. */
  readonly dryRun: boolean;
  /** Gives up only what this policy has a say about. */
  readonly policy?: string;
  /** Points of which a person says that they are gone. */
  readonly gone?: readonly string[];
}

/** What was decided, before anything is done. */
interface Decided {
  readonly listed: ListedVault;
  readonly decisions: readonly PointDecision[];
  readonly waiting: readonly WaitingRevision[];
  readonly blocked: ReadonlyMap<string, string>;
  readonly atMs: number;
}

/**
 * Returns the VMs with an open question of integrity, and which, at each decision and again right
 * before a point is given up.
 */
export type VmBlocks = (
  vaultId: string,
  signal: AbortSignal,
) => Promise<ReadonlyMap<string, string>>;

/** Decides which points of a vault are given up, and gives them up where it may. */
export class Retention {
  private readonly blocks: VmBlocks[] = [];

  constructor(private readonly parts: RetentionParts) {}

  /** Adds something that blocks VMs. */
  blockedBy(blocks: VmBlocks): void {
    this.blocks.push(blocks);
  }

  /**
   * Lists the vault for this decision, decides about each point, and gives up what is due.
   * @throws Fault `retention.clock-unsure`, `retention.catalog-older`, `retention.points-differ`,
   *   `vault.list-incomplete`: nothing was decided
   */
  async decide(request: RetentionRequest, { signal }: Running): Promise<RetentionReport> {
    const { vaults, facts } = this.parts;
    const { vaultId, dryRun } = request;
    await facts.requireSound();
    const known = await facts.known(vaultId);
    const options = { spending: new Spending(), role: 'collector' } as const;
    await using opened = await vaults.openApart(vaultId, options, signal);
    await facts.requireStoreClock(opened.vault, signal);
    const listed = await listVault(opened.vault.inside, signal);
    const same = { known, gone: request.gone ?? [] };
    await facts.requireSame(opened.vault, listed, same, signal);
    const decided = await this.decided(opened, listed, request, signal);
    const report = reportOf(decided);
    if (dryRun) {
      return report;
    }
    await this.write(opened.vault, decided);
    const due = report.due.filter(({ because }) => isOf(because, request.policy));
    const done = await this.execute(opened.vault, { ...decided, due }, signal);
    const retired = new Set(done.retired);
    const waiting = report.due.filter(({ pointId }) => !retired.has(pointId));
    await this.parts.published.publish(opened.vault, waiting, report.atMs, signal);
    this.parts.log.info('retention.decided', {
      ...{ vaultId, kept: report.kept, due: report.due.length, retired: done.retired.length },
      ...(done.notHere === undefined ? {} : { notHere: done.notHere }),
    });
    return { ...report, ...done };
  }

  private async decided(
    { vault, registration }: VaultApart,
    listed: ListedVault,
    { dryRun }: RetentionRequest,
    signal: AbortSignal,
  ): Promise<Decided> {
    const policies = await this.parts.policies.list();
    const known = await this.blocked(vault.id, signal);
    const place = { id: vault.id, name: registration.name };
    const whole = await this.parts.facts.input(place, listed, { policies, blocked: known }, signal);
    const { input, waiting } = await this.parts.judges.brake(vault.id, whole, policies, !dryRun);
    let decisions = planRetention(input);
    const locks = await lockedUntil(vault, listed.points, dueOf(decisions), signal);
    if (locks.size > 0) {
      const points = input.points.map((point) => {
        const lockedUntilMs = locks.get(point.id);
        return lockedUntilMs === undefined ? point : { ...point, lockedUntilMs };
      });
      decisions = planRetention({ ...input, points });
    }
    const { blocked, nowMs: atMs } = input;
    return { listed, decisions, waiting, blocked, atMs };
  }

  private async write(vault: Vault, { decisions, listed, atMs }: Decided): Promise<void> {
    const vms = new Map(listed.points.map(({ id, vmId }) => [id, vmId]));
    const rows = decisions.map((decision) => ({
      ...decision,
      ...{ vaultId: vault.id, vmId: vms.get(decision.pointId) ?? '', decidedAtMs: atMs },
    }));
    await this.parts.rows.decide(vault.id, rows);
  }

  private async execute(
    vault: Vault,
    decided: Decided & { readonly due: readonly ReportedPoint[] },
    signal: AbortSignal,
  ): Promise<Pick<RetentionReport, 'retired' | 'passedOver' | 'notHere'>> {
    const groups = new Map(decided.listed.points.map(({ id, origin }) => [id, origin?.group]));
    const execution = new RetentionExecution(vault.inside, decided.listed, async () =>
      this.blocked(vault.id, signal),
    );
    const done = await execution.run(
      decided.due.map(({ pointId: id, vmId }) => ({ id, vmId, group: groups.get(id) })),
      signal,
    );
    if (done.retired.length > 0) {
      await syncIfPossible(this.parts.vaults, vault.id, this.parts.log, signal);
    }
    return done;
  }

  private async blocked(vaultId: string, signal: AbortSignal): Promise<Map<string, string>> {
    const all = new Map<string, string>();
    for (const blocks of this.blocks) {
      for (const [vmId, why] of await blocks(vaultId, signal)) {
        all.set(vmId, why);
      }
    }
    return all;
  }
}

function isOf(because: ReportedPoint['because'], policy: string | undefined): boolean {
  return policy === undefined || because.some((reason) => reason.policy === policy);
}

function reportOf({ listed, decisions, waiting, blocked, atMs }: Decided): RetentionReport {
  const points = new Map(listed.points.map((point) => [point.id, point]));
  const reported = (some: readonly PointDecision[]): ReportedPoint[] =>
    some.flatMap(({ pointId, because }) => {
      const point = points.get(pointId);
      return point === undefined ? [] : [viewOf(point, because)];
    });
  return {
    atMs,
    kept: decisions.filter(({ keep }) => keep).length,
    due: reported(decisions.filter(({ keep }) => !keep)),
    undecided: reported(
      decisions.filter(({ because }) => because.some(({ rule }) => rule === 'nobody')),
    ),
    blocked: [...blocked].map(([vmId, why]) => ({ vmId, why })),
    waiting,
    ...{ retired: [], passedOver: [] },
  };
}

function viewOf(point: RecoveryPoint, because: PointDecision['because']): ReportedPoint {
  const { id: pointId, vmId, vmName, takenAtMs } = point;
  return { pointId, vmId, vmName, takenAtMs, because };
}
