import { Fault } from '../../kernel/fault.ts';
import { pointKey } from '../format/object-names.ts';
import { requireCurrentRetention } from '../control/retention-check.ts';
import type { PointName } from '../points/retirements.ts';
import type { Running } from '../../kernel/progress.ts';
import type { CollectParts } from '../collect/collect-options.ts';
import { ReadingLeases, refuseBeingRead } from '../records/reading-leases.ts';
import { Holds } from '../points/holds.ts';

/**
 * Gives points up for good; the next collection frees their space. If one is held or being read,
 * gives up none.
 * @throws Fault `vault.point-held`, `vault.point-being-read`, `vault.retention-key-missing`,
 *   `vault.key-outdated` if the retention key was replaced since the vault was opened
 */
export async function retirePoints(
  { base, points, clock, log }: CollectParts,
  names: readonly PointName[],
  { signal }: Running,
): Promise<void> {
  const holds = new Holds(base, log);
  const inForce = await holds.list(signal);
  // Also asks lists of other prefixes: a list that leaves a hold out must not cost the point.
  for (const vmId of new Set(names.map((name) => name.vmId))) {
    inForce.push(...(await holds.list(signal, vmId)));
  }
  const held = new Map(inForce.map((hold) => [pointKey(hold.vmId, hold.id), hold]));
  for (const { vmId, id } of names) {
    const hold = held.get(pointKey(vmId, id));
    if (hold !== undefined) {
      throw new Fault(
        'vault.point-held',
        `The recovery point ${id} is held ("${hold.reason}"). Nothing was given up.`,
        { point: id },
      );
    }
  }
  const leases = new ReadingLeases({ base, clock, log });
  refuseBeingRead(names, await leases.list(signal));
  for (const name of names) {
    await points.retire(name, clock.nowMs(), signal);
  }
  await requireCurrentRetention(base, signal);
}
