import type { CareRunRows } from '../../catalog/care/care-run-rows.ts';
import type { CatalogAge } from '../../catalog/catalog-age.ts';
import type { OldRows } from '../../catalog/old-rows.ts';
import type { VerificationRows } from '../../catalog/verification/verification-rows.ts';
import type { Log } from '../../kernel/log.ts';
import type { SchedulingClock } from './scheduling-clock.ts';

/** So many of the newest runs of each VM and of each task stay, however old they are. */
const RUNS_KEPT = 50;
/** Far longer than a point may be found late and be verified again. */
const SEALED_KEPT_MS = 30 * 86_400_000;

/** How long the database keeps what nobody needs. */
export interface KeptFor {
  readonly runsMs: number;
  /** VMs that are gone, and hosts that are not seen any more. */
  readonly goneMs: number;
}

export interface HousekeepingParts {
  readonly rows: Pick<OldRows, 'remove'>;
  readonly verifications: Pick<VerificationRows, 'removeEnded'>;
  readonly care: Pick<CareRunRows, 'removeEnded'>;
  readonly age: Pick<CatalogAge, 'unknownRuns'>;
  readonly clock: SchedulingClock;
  readonly host: { readonly id: string };
  readonly log: Log;
}

/** Removes old runs, VMs and hosts from the database. */
export class Housekeeping {
  constructor(
    private readonly parts: HousekeepingParts,
    private readonly kept: KeptFor,
  ) {}

  /**
   * Removes what is older than it is kept. Never fails: the next day tries again. Nothing is
   * removed by a clock that cannot be trusted, or while the vaults know more than the database.
   */
  async tidy(): Promise<void> {
    const { rows, verifications, care, age, clock, host, log } = this.parts;
    try {
      if ((await clock.problem()) !== undefined || (await age.unknownRuns()) !== undefined) {
        return;
      }
      const nowMs = clock.nowMs();
      const removed = await rows.remove({
        runsBeforeMs: nowMs - this.kept.runsMs,
        runsKept: RUNS_KEPT,
        goneBeforeMs: nowMs - this.kept.goneMs,
        hostId: host.id,
      });
      const verified = await verifications.removeEnded(
        nowMs - this.kept.runsMs,
        nowMs - SEALED_KEPT_MS,
      );
      const cared = await care.removeEnded(nowMs - this.kept.runsMs, RUNS_KEPT);
      log.info('catalog.tidied', { ...removed, verifications: verified, care: cared });
    } catch (error) {
      log.warn('catalog.not-tidied', { error });
    }
  }
}
