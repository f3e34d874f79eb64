import { formatBytes } from '../../../kernel/text/bytes.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import type { Vault } from '../../../vault/vault.ts';
import type { VerifyLevel, VerifyReport } from '../../../vault/checks/verify-report.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count } from '../../terminal/quantities.ts';
import { choosePoint, noPoints, pointsOf } from '../../options/choose-point.ts';
import type { WhichVm } from '../../options/which-vm.ts';
import { withSpending } from '../spending-options.ts';
import { leased, withVault, type VaultKey } from '../vault-access.ts';

export interface VerifyOptions extends VaultKey, WhichVm {
  readonly level: string;
}

const LEVELS: Readonly<Record<string, VerifyLevel>> = {
  '0': 0,
  '1': 1,
  '2': 2,
  '3': 3,
};
const PROBLEMS_SHOWN = 10;

const PROVED: Readonly<Record<VerifyLevel, string>> = {
  0: 'every pack is there with its length',
  1: 'packs, map and content seals are whole; the content itself was not read',
  2: 'every byte was read and authenticated',
  3: 'every byte was read, authenticated and compared with its id',
};

/**
 * Checks recovery points, one or all, without restoring them.
 *
 * @throws Fault `point.damaged` if one is damaged, after all were checked; `point.unknown` if there
 *   is none
 */
export async function verifyPoints(
  cli: Cli,
  asked: string | undefined,
  options: VerifyOptions,
): Promise<Outcome> {
  const level = LEVELS[options.level];
  if (level === undefined) {
    throw new Fault('request.invalid', '--level is 0, 1, 2 or 3.');
  }
  return await withVault(cli, options, async (vault, spending) => {
    const all = await vault.points(cli.signal);
    const points =
      asked === undefined ? pointsOf(all, options) : [choosePoint(all, asked, options)];
    await using held = new AsyncDisposableStack();
    held.use(await leased(cli, vault, points, 'a rescue verification'));
    const reports = await verifyEach(cli, vault, points, level);
    const unread = asked === undefined ? await unreadPoints(cli, vault, all, options) : [];
    requireWhole(reports, unread);
    if (reports.length === 0) {
      // A check of nothing proves nothing: a job with a wrong name would be green for ever.
      throw noPoints(all, options);
    }
    const text = wholeText(points, reports);
    return withSpending({ document: { points: reports }, text }, spending);
  });
}

async function verifyEach(
  cli: Cli,
  vault: Vault,
  points: readonly RecoveryPoint[],
  level: VerifyLevel,
): Promise<VerifyReport[]> {
  const reports: VerifyReport[] = [];
  using meter = cli.meter();
  for (const [index, point] of points.entries()) {
    const phase = `verifying ${point.vmName} (${String(index + 1)}/${String(points.length)})`;
    const report = await vault.verify(point.id, level, {
      signal: cli.signal,
      report: (progress) => {
        meter.report({ ...progress, phase });
      },
    });
    reports.push(report);
    if (!report.ok) {
      cli.sayLines(problemText(point, report));
    }
  }
  return reports;
}

/**
 * Returns points that no list shows because they cannot be read. A point whose VM has no known name
 * counts as one of the VM that was asked for.
 */
async function unreadPoints(
  cli: Cli,
  { inside }: Vault,
  points: readonly RecoveryPoint[],
  { vm, vmId }: WhichVm,
): Promise<string[]> {
  const names = new Map(points.map((point) => [point.vmId, point.vmName]));
  const unread: string[] = [];
  for (const { name, fault } of await inside.points.unreadable(cli.signal, vmId)) {
    if (vm === undefined || (names.get(name.vmId) ?? vm) === vm) {
      cli.sayLines(`${name.id} cannot be read: ${plainText(fault.message)}\n`);
      unread.push(name.id);
    }
  }
  return unread;
}

function requireWhole(reports: readonly VerifyReport[], unread: readonly string[]): void {
  const found = reports.filter(({ ok }) => !ok).map(({ pointId }) => pointId);
  const damaged = [...found, ...unread];
  const verified = reports.length + unread.length;
  if (damaged.length > 0) {
    throw new Fault(
      'point.damaged',
      `${String(damaged.length)} of ${count(verified, 'recovery point')} not whole: ${damaged.join(', ')}.`,
      { damaged: damaged.length, verified },
    );
  }
}

function problemText(point: RecoveryPoint, { problems }: VerifyReport): string {
  const shown = problems.slice(0, PROBLEMS_SHOWN).map((problem) => {
    const disk = point.disks.find(({ diskId }) => diskId === problem.diskId)?.name;
    const where = disk === undefined ? '' : `${disk}: `;
    return `  ${plainText(`${where}${problem.code}: ${problem.message}`)}\n`;
  });
  const more = problems.length - shown.length;
  return [
    `${point.id} of ${plainText(point.vmName)} is damaged:\n`,
    ...shown,
    ...(more > 0 ? [`  and ${String(more)} more\n`] : []),
  ].join('');
}

function wholeText(points: readonly RecoveryPoint[], reports: readonly VerifyReport[]): string {
  return reports
    .map((report, index) => {
      const name = plainText(points[index]?.vmName ?? '');
      const amount = `${count(report.packs, 'pack')}, ${formatBytes(report.fetchedBytes)} read`;
      return `${report.pointId} of ${name} is whole: ${PROVED[report.level]} (${amount}).\n`;
    })
    .join('');
}
