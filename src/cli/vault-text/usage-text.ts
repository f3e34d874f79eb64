import type { VaultUsage } from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { count } from '../terminal/quantities.ts';
import { formatTable } from '../terminal/table.ts';
import type { ShowTime } from './show-time.ts';

const right = 'right' as const;

/** Returns what recovery points take and would free, ratios, and how fast the vault grows. */
export function usageText({ points, vms, total, ...vault }: VaultUsage, time: ShowTime): string {
  const pointTable = formatTable(
    [
      { title: 'POINT' },
      { title: 'VM' },
      { title: 'TAKEN' },
      { title: 'CONTENT', align: right },
      { title: 'ALONE NEEDS', align: right },
    ],
    points.map((point) => [
      point.id,
      point.vmName,
      time(point.takenAtMs),
      formatBytes(point.logicalBytes),
      formatBytes(point.exclusiveBytes),
    ]),
  );
  const all = { vmName: 'all', points: points.length, ...total };
  const vmTable = formatTable(
    [
      { title: 'VM' },
      { title: 'POINTS', align: right },
      { title: 'CONTENT', align: right },
      { title: 'UNIQUE', align: right },
      { title: 'STORED', align: right },
      { title: 'DEDUP', align: right },
      { title: 'COMPRESSION', align: right },
    ],
    [...vms, all].map((vm) => [
      vm.vmName,
      String(vm.points),
      formatBytes(vm.logicalBytes),
      formatBytes(vm.uniqueBytes),
      formatBytes(vm.storedBytes),
      `${vm.dedupRatio.toFixed(2)}x`,
      `${vm.compressionRatio.toFixed(2)}x`,
    ]),
  );
  const months = vault.months.map(({ month, bytes }) => `  ${month}  ${formatBytes(bytes)}\n`);
  const { objectBytes, neededBytes } = vault;
  const parts = `${formatBytes(neededBytes)} that recovery points need, content and maps; ${formatBytes(Math.max(0, objectBytes - neededBytes))} that none needs, and frames`;
  const since = months.length === 0 ? '.\n' : `, written in:\n${months.join('')}`;
  const tables = points.length === 0 ? 'No recovery points.\n' : `${pointTable}\n${vmTable}\n`;
  return `${tables}The vault has ${count(vault.objects, 'pack')} of ${formatBytes(objectBytes)}: ${parts}${since}${forecast(vault)}`;
}

function forecast({
  growthPerMonthBytes: growth,
  objectBytes,
}: Pick<VaultUsage, 'growthPerMonthBytes' | 'objectBytes'>): string {
  return growth === undefined
    ? 'It is too young for a forecast.\n'
    : `It grows by ${formatBytes(growth)} a month; at that pace it has ${formatBytes(objectBytes + 12 * growth)} in a year.\n`;
}
