import { isFault } from '../kernel/fault.ts';
import type { Running } from '../kernel/progress.ts';
import type { AddedReport } from '../vault/checks/verify-added.ts';
import { verifyAdded } from '../vault/checks/verify-added.ts';
import type { VerifyReport } from '../vault/checks/verify-report.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { Vault } from '../vault/vault.ts';

/** What the verification of a new point proves of what the point added, and of all of it. */
export const ADDED_LEVEL = 2;
export const WHOLE_LEVEL = 1;

/** Where a verification ended that reached its limit. */
export type StoppedAt = 'added' | 'whole';

export interface SealedReport extends AddedReport {
  readonly pointId: string;
  /** Undefined if it reached its limit before, or found damage in what was added. */
  readonly level?: typeof WHOLE_LEVEL;
  readonly addedLevel?: typeof ADDED_LEVEL;
  readonly stoppedAt?: StoppedAt;
}

const NOTHING: AddedReport = { packs: 0, frames: 0, chunks: 0, fetchedBytes: 0, problems: [] };

/**
 * Verifies a new point: first reads all that it added, which nobody has read before, then its map
 * and the ends of all packs. Ends early, without a fault, when the limit of the job is reached.
 */
export async function checkSealed(
  vault: Vault,
  point: RecoveryPoint,
  running: Running,
): Promise<SealedReport> {
  const { id: pointId } = point;
  const { document } = await vault.inside.points.load(point, running.signal);
  const added = await withinLimit(async () => verifyAdded(vault.inside, document, running));
  if (added === undefined) {
    return { pointId, ...NOTHING, stoppedAt: 'added' };
  }
  if (added.problems.length > 0) {
    return { pointId, ...added };
  }
  const seen = { pointId, ...added, addedLevel: ADDED_LEVEL } as const;
  const whole = await withinLimit(async () => vault.verify(pointId, WHOLE_LEVEL, running));
  return whole === undefined
    ? { ...seen, stoppedAt: 'whole' }
    : { ...seen, ...sum(added, whole), level: WHOLE_LEVEL };
}

/** The packs that were added are among those of the whole point. */
function sum(added: AddedReport, whole: VerifyReport): AddedReport {
  const { frames, chunks } = added;
  const fetchedBytes = added.fetchedBytes + whole.fetchedBytes;
  return { packs: whole.packs, frames, chunks, fetchedBytes, problems: whole.problems };
}

async function withinLimit<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isFault(error, 'budget.reached')) {
      return undefined;
    }
    throw error;
  }
}
