import { repeatedNames, type Choosable } from './choose-point.ts';

/** Returns how a table shows the VM of a point: its name, with the id if two VMs have that name. */
export function vmCells(
  points: readonly Choosable[],
): (point: Pick<Choosable, 'vmId' | 'vmName'>) => string {
  const repeated = repeatedNames(new Map(points.map(({ vmId, vmName }) => [vmId, vmName])));
  return ({ vmId, vmName }) => (repeated.has(vmName) ? `${vmName} (${vmId})` : vmName);
}
