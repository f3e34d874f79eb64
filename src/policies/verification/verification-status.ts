import type { DamagedPoint, PointProofs } from '../../catalog/point-proofs.ts';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { VerificationRows } from '../../catalog/verification/verification-rows.ts';
import type { SchedulingClock } from '../runs/scheduling-clock.ts';

/** Nobody is told of what waits for less. */
const WAITING_MS = 3_600_000;

export interface VerificationStatusParts {
  readonly rows: Pick<VerificationRows, 'waiting'>;
  readonly proofs: Pick<PointProofs, 'damagedPoints'>;
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly clock: Pick<SchedulingClock, 'nowMs'>;
}

/** What verifications found, and what waits for one. */
export interface VerificationsNow {
  readonly damaged: readonly (DamagedPoint & { readonly vault: string })[];
  readonly waiting: readonly {
    readonly vault: string;
    readonly count: number;
    readonly oldestMs: number;
    readonly why?: string;
  }[];
}

/** Says which points were found damaged, and which nobody has verified yet. */
export class VerificationStatus {
  constructor(private readonly parts: VerificationStatusParts) {}

  async now(): Promise<VerificationsNow> {
    const { rows, proofs, vaults, clock } = this.parts;
    const names = new Map((await vaults.list()).map(({ id, name }) => [id, name]));
    const nameOf = (vaultId: string): string => names.get(vaultId) ?? vaultId;
    const waiting = await rows.waiting(clock.nowMs() - WAITING_MS);
    const damaged = await proofs.damagedPoints();
    return {
      damaged: damaged.map((point) => ({ ...point, vault: nameOf(point.vaultId) })),
      waiting: waiting.map(({ vaultId, count, oldestMs, why }) => ({
        ...{ vault: nameOf(vaultId), count, oldestMs },
        ...(why === null ? {} : { why }),
      })),
    };
  }
}
