import { Injectable } from '@nestjs/common';
import type { PointProofs } from '../catalog/point-proofs.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { ReportProgress } from '../kernel/progress.ts';
import { Spending, type SpendingLimits, type SpendingReport } from '../vault/budget/spending.ts';
import { HeldLease } from '../vault/records/held-lease.ts';
import type { VerifyLevel, VerifyReport } from '../vault/checks/verify-report.ts';

export interface VerifyPoint {
  readonly vaultId: string;
  readonly pointId: string;
  readonly level: VerifyLevel;
  readonly limits: SpendingLimits;
}

export interface Verified {
  readonly report: VerifyReport;
  readonly durationMs: number;
  readonly spending: SpendingReport;
  /** What is wrong with the point. */
  readonly fault?: Fault;
}

/** From this level on all content is read. */
const CONTENT_LEVEL = 2;

/** Proves that recovery points can be restored. */
@Injectable()
export class VerifyService {
  constructor(
    private readonly vaults: Pick<RegisteredVaults, 'openApart'>,
    private readonly proofs: Pick<PointProofs, 'verified' | 'damaged'>,
    private readonly clock: Clock,
  ) {}

  /**
   * Checks a point to the given level without writing it anywhere. Damage is a fault beside the
   * report; the catalog keeps whether the point was found whole or damaged.
   */
  async verify(
    { vaultId, pointId, level, limits }: VerifyPoint,
    running: { readonly signal: AbortSignal; readonly report: ReportProgress },
  ): Promise<Verified> {
    const startedMs = this.clock.monotonicMs();
    const spending = new Spending(limits);
    await using opened = await this.vaults.openApart(
      vaultId,
      { spending, role: 'restorer' },
      running.signal,
    );
    const { vault } = opened;
    const point = await vault.point(pointId, running.signal);
    const purpose = { purpose: 'a verification' };
    await using held = new AsyncDisposableStack();
    held.use(await HeldLease.take(vault.inside, [point], purpose, running.signal));
    const report = await vault.verify(pointId, level, running);
    const durationMs = this.clock.monotonicMs() - startedMs;
    const verified = { report, durationMs, spending: spending.report };
    const [first] = report.problems;
    if (report.ok && first === undefined) {
      if (report.level >= CONTENT_LEVEL) {
        await this.proofs.verified(vaultId, report.pointId, this.clock.nowMs());
      }
      return verified;
    }
    await this.proofs.damaged(vaultId, report.pointId, this.clock.nowMs());
    const places = report.problems.length;
    const fault = new Fault(
      'point.damaged',
      `The recovery point ${pointId} is damaged in ${String(places)} ${places === 1 ? 'place' : 'places'}; the first: ${first?.message ?? 'unknown'} Other points may be whole: verify them, and take a new one.`,
      { pointId, problems: places, firstCode: first?.code ?? 'unknown' },
    );
    return { ...verified, fault };
  }
}
