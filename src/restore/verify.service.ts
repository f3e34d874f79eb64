import { Injectable } from '@nestjs/common';
import type { PointCheck, PointProofs } from '../catalog/point-proofs.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { VaultApart } from '../catalog/stored-vaults.ts';
import type { StoreRole } from '../catalog/vault-credentials.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { HostIdentity } from '../kernel/host-identity.ts';
import type { ReportProgress } from '../kernel/progress.ts';
import { Spending, type SpendingLimits, type SpendingReport } from '../vault/budget/spending.ts';
import type { VerifyLevel, VerifyReport } from '../vault/checks/verify-report.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import { HeldLease } from '../vault/records/held-lease.ts';
import { checkSealed, type SealedReport } from './sealed-check.ts';

export interface VerifyPoint {
  readonly vaultId: string;
  readonly pointId: string;
  readonly level: VerifyLevel;
  /** Of a new point: what it added is read too, whatever the level. */
  readonly added?: boolean | undefined;
  readonly limits: SpendingLimits;
}

export interface Verified {
  readonly report: SealedReport | VerifyReport;
  readonly durationMs: number;
  readonly spending: SpendingReport;
  /** What is wrong with the point. */
  readonly fault?: Fault;
}

interface Running {
  readonly signal: AbortSignal;
  readonly report: ReportProgress;
}

export interface VerifyParts {
  readonly vaults: Pick<RegisteredVaults, 'openApart' | 'credentialsOf'>;
  readonly proofs: Pick<PointProofs, 'verified' | 'damaged'>;
  readonly clock: Clock;
  readonly host: Pick<HostIdentity, 'name'>;
}

/** Proves that recovery points can be restored. */
@Injectable()
export class VerifyService {
  constructor(private readonly parts: VerifyParts) {}

  /**
   * Checks a point to the given level without writing it anywhere. Damage is a fault beside the
   * report; the catalog keeps what was found, by whom and when.
   *
   * @throws Fault `vault.point-retired` if it was given up meanwhile: what is missing then is no
   *   damage
   */
  async verify(
    { vaultId, pointId, level, added, limits }: VerifyPoint,
    running: Running,
  ): Promise<Verified> {
    const { vaults, clock } = this.parts;
    const startedMs = clock.monotonicMs();
    const spending = new Spending(limits);
    const role = await this.roleOf(vaultId);
    await using opened = await vaults.openApart(vaultId, { spending, role }, running.signal);
    const { vault } = opened;
    const point = await vault.point(pointId, running.signal);
    const purpose = { purpose: 'a verification' };
    await using held = new AsyncDisposableStack();
    held.use(await HeldLease.take(vault.inside, [point], purpose, running.signal));
    const report =
      added === true
        ? await checkSealed(vault, point, running)
        : await vault.verify(pointId, level, running);
    const durationMs = clock.monotonicMs() - startedMs;
    const verified = { report, durationMs, spending: spending.report };
    const fault = await this.noted(opened, point, report, running.signal);
    return fault === undefined ? verified : { ...verified, fault };
  }

  /** Writes down what was found. @returns the damage */
  private async noted(
    { vault }: VaultApart,
    point: RecoveryPoint,
    report: SealedReport | VerifyReport,
    signal: AbortSignal,
  ): Promise<Fault | undefined> {
    const { proofs, clock, host } = this.parts;
    const { problems, level } = report;
    const { addedLevel } = { addedLevel: undefined, ...report };
    const check: PointCheck = {
      ...{ atMs: clock.nowMs(), by: host.name },
      ...(level === undefined ? {} : { level }),
      ...(addedLevel === undefined ? {} : { addedLevel }),
    };
    const [first] = problems;
    if (first === undefined) {
      await proofs.verified(vault.id, point.id, check);
      return undefined;
    }
    // Who may not write takes no lease, and what was given up is removed at any time.
    if (await vault.inside.points.isRetired(point, signal)) {
      throw new Fault(
        'vault.point-retired',
        `The recovery point ${point.id} was given up while it was verified. What is missing of it is no damage.`,
        { point: point.id },
      );
    }
    await proofs.damaged(vault.id, point.id, check);
    const places = problems.length;
    return new Fault(
      'point.damaged',
      `The recovery point ${point.id} is damaged in ${String(places)} ${places === 1 ? 'place' : 'places'}; the first: ${first.message} Other points may be whole: verify them, and take a new one.`,
      { pointId: point.id, problems: places, firstCode: first.code },
    );
  }

  /** The restorer's, or the collector's where only that one has credentials of its own. */
  private async roleOf(vaultId: string): Promise<StoreRole> {
    const own = (await this.parts.vaults.credentialsOf(vaultId)).map(({ role }) => role);
    return !own.includes('restorer') && own.includes('collector') ? 'collector' : 'restorer';
  }
}
