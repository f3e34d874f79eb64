import { formatBytes } from '../../kernel/bytes.ts';
import { Fault } from '../../kernel/fault.ts';
import { type CollectOptions, type CollectReport } from '../../vault/collect/collect-options.ts';
import { collectVault } from '../../vault/collect/collector.ts';
import { measureVault, type VaultUsage } from '../../vault/collect/point-usage.ts';
import { planPrune, type PrunePlan } from '../../vault/collect/prune-plan.ts';
import { parseBytes } from '../amounts.ts';
import { type Cli } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { count } from '../quantities.ts';
import { formatTable } from '../table.ts';
import { withVault, type VaultKey } from './vault-access.ts';

const HOUR_MS = 3_600_000;
const PERCENT = 100;

export interface PruneOptions extends VaultKey {
  readonly young?: string;
  readonly grace?: string;
  readonly liveShare?: string;
  readonly rewrite?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** Gives the space of retired points back. */
export async function prune(cli: Cli, options: PruneOptions): Promise<Outcome> {
  const rules = rulesOf(options);
  return await withVault(cli, options, async (vault) => {
    using meter = cli.meter();
    const running = { signal: cli.signal, report: meter.report.bind(meter) };
    const plan = await planPrune(vault.inside, [], rules, running);
    const text = planText(plan);
    if (options.dryRun === true) {
      return { document: { plan }, text: `${text}Nothing was changed.\n` };
    }
    cli.sayLines(text);
    await cli.confirm('Remove what no recovery point needs?', options);
    const report = await collectVault(vault.inside, rules, running);
    return { document: { plan, report }, text: reportText(report) };
  });
}

function rulesOf({ young, grace, liveShare, rewrite }: PruneOptions): CollectOptions {
  const share = liveShare === undefined ? undefined : numberOf('--live-share', liveShare);
  if (share !== undefined && share > PERCENT) {
    throw new Fault('request.invalid', '--live-share takes a percentage up to 100.');
  }
  return {
    ...(young === undefined ? {} : { youngMs: numberOf('--young', young) * HOUR_MS }),
    ...(grace === undefined ? {} : { graceMs: numberOf('--grace', grace) * HOUR_MS }),
    ...(share === undefined ? {} : { liveShare: share / PERCENT }),
    ...(rewrite === undefined ? {} : { rewriteBytes: parseBytes('--rewrite', rewrite) }),
  };
}

function numberOf(option: string, text: string): number {
  if (!/^\d{1,6}(?:[.]\d{1,3})?$/.test(text)) {
    throw new Fault('request.invalid', `${option} takes a number.`);
  }
  return Number(text);
}

function planText(plan: PrunePlan): string {
  const { get, put, remove } = plan.requests;
  return [
    `${count(plan.points.length, 'recovery point')} given up.\n`,
    `${count(plan.removedPacks, 'pack')} to remove, ${count(plan.compactedPacks, 'pack')} to write anew: frees about ${formatBytes(plan.removedBytes - plan.writtenBytes)} (${count(plan.deadSlots, 'chunk')}).\n`,
    `About ${String(get)} GET, ${String(put)} PUT, ${String(remove)} DELETE; writes ${formatBytes(plan.writtenBytes)}.\n`,
    plan.deadBytesLeft > 0
      ? `${formatBytes(plan.deadBytesLeft)} that nothing needs stay: in packs that are young or mostly needed.\n`
      : '',
  ].join('');
}

function reportText(report: CollectReport): string {
  const freed = report.removedBytes - report.writtenBytes;
  return [
    `Freed ${formatBytes(Math.max(0, freed))}: ${count(report.removedPacks, 'pack')} removed, ${count(report.compactedPacks, 'pack')} written anew, ${count(report.mergedPacks, 'pack')} merged; ${count(report.removedPoints.length, 'recovery point')} gone.\n`,
    report.refusedRemovals > 0
      ? `The store did not let go of ${count(report.refusedRemovals, 'object')}: under object lock, or for lack of a permission. The next prune tries again.\n`
      : '',
    report.damagedPacks.length > 0
      ? `Damaged and left alone: ${report.damagedPacks.join(', ')}. Verify the vault.\n`
      : '',
  ].join('');
}

/** What recovery points take, what they would free, and how fast the vault grows. */
export async function usage(cli: Cli, options: VaultKey): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
    const measured = await measureVault(vault.inside, { signal: cli.signal });
    return { document: measured, text: usageText(cli, measured) };
  });
}

function usageText(cli: Cli, { points, vms, total, ...vault }: VaultUsage): string {
  const right = 'right' as const;
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
      cli.time(point.takenAtMs),
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
  return `${pointTable}\n${vmTable}\nThe vault has ${count(vault.objects, 'pack')} of ${formatBytes(vault.objectBytes)}, written in:\n${months.join('')}${forecast(vault)}`;
}

function forecast({
  growthPerMonthBytes: growth,
  objectBytes,
}: Pick<VaultUsage, 'growthPerMonthBytes' | 'objectBytes'>): string {
  return growth === undefined
    ? 'It is too young for a forecast.\n'
    : `It grows by ${formatBytes(growth)} a month; at that pace it has ${formatBytes(objectBytes + 12 * growth)} in a year.\n`;
}
