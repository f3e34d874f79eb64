import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { StoreRole } from '../catalog/vault-credentials.ts';
import type { VaultApart } from '../catalog/stored-vaults.ts';
import { FailedWith } from '../jobs/job.ts';
import type { Fault } from '../kernel/fault.ts';
import type { ReportProgress } from '../kernel/progress.ts';
import { Spending, type SpendingLimits } from '../vault/budget/spending.ts';

export interface UpkeepRequest {
  readonly vaultId: string;
  /** What the job may use at the store before it stops. */
  readonly limits: SpendingLimits;
  /** Whose credentials it uses. Default: the collector's. */
  readonly role?: StoreRole;
}

export interface Running {
  readonly signal: AbortSignal;
  readonly report: ReportProgress;
}

/** Result of work; the fault says that it was done and found something wrong. */
export interface Worked {
  readonly result: object;
  readonly fault?: Fault | undefined;
}

/** Opens a vault for one job, and adds to the result what the job used at its stores. */
export async function onVault(
  vaults: Pick<RegisteredVaults, 'openApart'>,
  { vaultId, limits, role = 'collector' }: UpkeepRequest,
  { signal }: Running,
  work: (opened: VaultApart, spending: Spending) => Promise<Worked>,
): Promise<object> {
  const spending = new Spending(limits);
  await using opened = await vaults.openApart(vaultId, { spending, role }, signal);
  const { result, fault } = await work(opened, spending);
  const whole = { ...result, spending: spending.report };
  if (fault !== undefined) {
    throw new FailedWith(fault, whole);
  }
  return whole;
}
