import { pointKey } from '../format/object-names.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { Running } from '../../kernel/progress.ts';
import type { CollectParts } from '../collect/collect-options.ts';
import { planPrune } from '../collect/plans/prune-plan.ts';

export interface PlannedRetirement extends Pick<
  RecoveryPoint,
  'id' | 'vmId' | 'vmName' | 'takenAtMs'
> {
  /** Bytes that no other point needs. */
  readonly exclusiveBytes: number;
}

/** What giving points up would free. */
export interface RetirementPlan {
  readonly points: readonly PlannedRetirement[];
  /** What prunes give back for all of these points, including points given up before. */
  readonly freedBytes: number;
  /** The part of that in packs of the last day, which the next prune leaves alone. */
  readonly youngBytes: number;
  /** What nothing needs then and still stays, because its packs are mostly needed. */
  readonly keptBytes: number;
}

/** Changes nothing. @throws Fault `vault.collect-unsure` */
export async function planRetirement(
  parts: CollectParts,
  points: readonly RecoveryPoint[],
  running: Running,
): Promise<RetirementPlan> {
  const wanted = [...new Map(points.map((point) => [point.id, point])).values()];
  const plan = await planPrune(parts, wanted, {}, running);
  const exclusive = new Map(
    plan.points.map(({ vmId, id, exclusiveBytes }) => [pointKey(vmId, id), exclusiveBytes]),
  );
  return {
    points: wanted.map(({ id, vmId, vmName, takenAtMs }) => ({
      id,
      vmId,
      vmName,
      takenAtMs,
      exclusiveBytes: exclusive.get(pointKey(vmId, id)) ?? 0,
    })),
    freedBytes: plan.removedBytes - plan.writtenBytes + plan.youngBytes,
    youngBytes: plan.youngBytes,
    keptBytes: plan.deadBytesLeft - plan.youngBytes,
  };
}
