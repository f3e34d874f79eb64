import type { Point } from '../../api/contract/points.ts';
import type { VaultSummary } from '../../api/contract/vaults.ts';
import type { Vm } from '../../api/contract/vms.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import type { Cli } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';
import { formatTable } from '../terminal/table.ts';
import { checkText, keptText, provenText } from './point-list.ts';
import { copyText, troubleText } from './policies/care-text.ts';
import { originText } from '../vault-text/origin-text.ts';
import { unmergedText } from './vm-text.ts';

/** How many points are shown with a VM or vault; the list has all. */
const POINTS_SHOWN = 5;

/** Shows all that is known of one VM, with its newest recovery points. */
export async function showVm(cli: Cli, asked: string): Promise<Outcome> {
  const service = await cli.service();
  const vm = await service.call('getVm', { path: { vm: asked } }, cli.signal);
  const { points } = await service.call('listPoints', { query: { vmId: vm.id } }, cli.signal);
  const text = [
    facts(`VM ${vm.name}`, vmFacts(vm)),
    disksText(vm),
    newestText(cli, points, `hyperkeep points --vm ${vm.name}`),
    ...vm.warnings.map((warning) => `note: ${plainText(warning)}\n`),
    unmergedText([vm]),
  ];
  return { document: { vm, points }, text: text.join('') };
}

/**
 * Shows all that is known of one vault without asking its store, with its newest recovery points.
 */
export async function showVault(cli: Cli, asked: string): Promise<Outcome> {
  const service = await cli.service();
  const vault = await service.call('getVault', { path: { vault: asked } }, cli.signal);
  const { points } = await service.call('listPoints', { query: { vault: vault.id } }, cli.signal);
  const care = await service.call('listCare', { query: { vault: vault.id } }, cli.signal);
  const copies = care.tasks.flatMap(({ task, copy }): Fact[] =>
    copy === undefined ? [] : [[task, `${copy.location}: ${copyText(copy)}`]],
  );
  const text = [
    facts(`Vault ${vault.name}`, [...vaultFacts(cli, vault, points), ...copies]),
    ...care.tasks.map((task) => troubleText(task, (timeMs) => cli.time(timeMs))),
    newestText(cli, points, `hyperkeep points --vault ${vault.name}`),
  ];
  return { document: { vault, points, care: care.tasks }, text: text.join('') };
}

/** Shows all that is known of one recovery point. */
export async function showPoint(
  cli: Cli,
  asked: string,
  { vault }: { readonly vault?: string },
): Promise<Outcome> {
  const call = { path: { point: asked }, query: { vault } };
  const point = await (await cli.service()).call('getPoint', call, cli.signal);
  const columns = [
    { title: 'DISK' },
    { title: 'SIZE', align: 'right' as const },
    { title: 'READ', align: 'right' as const },
    { title: 'NEW', align: 'right' as const },
    { title: 'STORED', align: 'right' as const },
    { title: 'HOW' },
  ];
  const disks = point.disks.map((disk) => [
    disk.name,
    formatBytes(disk.sizeBytes),
    formatBytes(disk.readBytes),
    formatBytes(disk.newBytes),
    formatBytes(disk.storedBytes),
    disk.method === 'full' ? `whole disk (${disk.reason ?? 'full'})` : 'changes only',
  ]);
  const text = [
    facts(`Recovery point ${point.id}`, pointFacts(cli, point)),
    formatTable(columns, disks),
    ...point.notes.map((sentence) => `note: ${plainText(sentence)}\n`),
  ];
  return { document: point, text: text.join('') };
}

type Fact = readonly [name: string, value: string];

function vmFacts({ id, status, definition, host, tags }: Vm): Fact[] {
  const known: Fact[] = [
    ['id', id],
    ['status', status],
    ['host', host?.name ?? 'not known now'],
    ['tags', tags?.join(', ') ?? 'not known now'],
  ];
  if (definition === undefined) {
    return known;
  }
  const { cpus, memoryMib, firmware, nics } = definition;
  return [
    ...known,
    ['machine', `${count(cpus, 'CPU')}, ${String(memoryMib)} MiB, boots by ${firmware.kind}`],
    ['network', nics.map(({ mac, network }) => `${mac} (${network})`).join(', ') || 'none'],
  ];
}

function disksText({ definition }: Vm): string {
  if (definition === undefined) {
    return '';
  }
  const columns = [
    { title: 'DISK' },
    { title: 'SIZE', align: 'right' as const },
    { title: 'FORMAT' },
    { title: 'BACKED UP' },
    { title: 'IMAGE' },
  ];
  const row = (disk: (typeof definition)['disks'][number]): string[] => [
    disk.name,
    formatBytes(disk.sizeBytes),
    disk.format,
    disk.excluded ? 'no, excluded' : 'yes',
    disk.path,
  ];
  return formatTable(columns, definition.disks.map(row));
}

function vaultFacts(cli: Cli, vault: VaultSummary, points: readonly Point[]): Fact[] {
  const vms = new Set(points.map(({ vmId }) => vmId)).size;
  const { syncedAtMs } = vault;
  return [
    ['id', vault.id],
    ['location', vault.location],
    ['state', vault.problem ?? 'ok'],
    ['created', cli.time(vault.createdAtMs)],
    ['looked into', syncedAtMs === undefined ? 'never' : cli.time(syncedAtMs)],
    ['holds', `${count(points.length, 'recovery point')} of ${count(vms, 'VM')}`],
  ];
}

function pointFacts(cli: Cli, point: Point): Fact[] {
  const held = point.holds.map(({ atMs, reason }) => `since ${cli.time(atMs)} ${reason}`.trimEnd());
  return [
    ['VM', `${point.vmName} (${point.vmId})`],
    ['vault', point.vaultName],
    ['taken', `${cli.time(point.takenAtMs)}, ${point.consistency}`],
    ['origin', originText(point, (timeMs) => cli.time(timeMs))],
    ['after', point.parentId ?? 'none'],
    ['proven', provenText(point, (timeMs) => cli.time(timeMs))],
    ['verified', checkText(point, (timeMs) => cli.time(timeMs))],
    ['kept because', keptText(point)],
    ['held', held.join('; ') || 'no'],
  ];
}

/** A headline, and names and values under it. */
function facts(headline: string, all: readonly Fact[]): string {
  const width = Math.max(...all.map(([name]) => name.length));
  const lines = all.map(([name, value]) => `  ${name.padEnd(width)}  ${plainText(value)}\n`);
  return `${plainText(headline)}\n${lines.join('')}`;
}

function newestText(cli: Cli, points: readonly Point[], listedBy: string): string {
  const newest = points.slice(-POINTS_SHOWN).reverse();
  const lines = newest.map(
    ({ id, vmName, vaultName, takenAtMs, consistency }) =>
      `  ${id}  ${plainText(vmName)}  ${cli.time(takenAtMs)}  ${plainText(vaultName)}  ${consistency}\n`,
  );
  const more = points.length - newest.length;
  return points.length === 0
    ? 'No recovery points.\n'
    : `Newest recovery points:\n${lines.join('')}${more > 0 ? `  ${String(more)} more: ${listedBy}\n` : ''}`;
}
