import type { CollectOptions, CollectReport } from '../collect-options.ts';
import type { ListedPoint } from './root-points.ts';
import type { PointName } from '../../points/retirements.ts';
import { ABSENCE } from './absence-rules.ts';
import type { ProvenPoints } from './proven-points.ts';
import { requireExplained, type UnexplainedQuestion } from './unexplained.ts';

/** How many points count, and until when nothing is removed. */
export type Belief = Pick<CollectReport, 'standingPoints' | 'vms' | 'waitsUntilMs'>;

export interface BeliefQuestion extends UnexplainedQuestion {
  readonly options: Pick<CollectOptions, 'allPointsAreListed'>;
  /** Undefined for a run that removes nothing. */
  readonly proven: ProvenPoints | undefined;
}

/**
 * Decides whether what was listed and marked may lead to a removal, and remembers it.
 * @throws Fault `vault.collect-unproven`
 */
export async function believe(question: BeliefQuestion): Promise<Belief> {
  const { marked, options, proven, parts } = question;
  const standing = standingOf(marked.roots, marked.listing.retired);
  if (proven === undefined) {
    return standing;
  }
  const isTold = options.allPointsAreListed === true;
  if (!isTold) {
    await requireExplained(question);
  }
  const sinceMs = await proven.remember(marked.listing, marked.aliasKeys);
  return isTold ? standing : { ...standing, ...waitingOf(sinceMs, parts.clock.nowMs()) };
}

/** Counts the points and their VMs, for people who know how many there should be. */
function standingOf(
  roots: readonly ListedPoint[],
  retired: readonly PointName[],
): Pick<Belief, 'standingPoints' | 'vms'> {
  const givenUp = new Set(retired.map(({ id }) => id));
  const sealed = roots.filter(({ id, isSealed }) => isSealed && !givenUp.has(id));
  return { standingPoints: sealed.length, vms: new Set(sealed.map(({ vmId }) => vmId)).size };
}

function waitingOf(sinceMs: number | undefined, nowMs: number): Pick<Belief, 'waitsUntilMs'> {
  if (sinceMs === undefined) {
    return { waitsUntilMs: 'never' };
  }
  const untilMs = sinceMs + ABSENCE.recordAgeMs;
  return untilMs > nowMs ? { waitsUntilMs: untilMs } : {};
}
