import { join, resolve } from 'node:path';
import { createImage } from '../../../formats/image.ts';
import { formatBytes } from '../../../kernel/text/bytes.ts';
import { NewFiles } from '../../../kernel/files/new-files.ts';
import { limiterFor, type RateLimiter } from '../../../kernel/rates/rate-limiter.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import { contentBytes, freeBytesAt } from '../../../vault/restoring/free-space.ts';
import { writePlan, type Written } from '../../../vault/restoring/plan-writer.ts';
import {
  fileName,
  filesOf,
  planDisk,
  planVm,
  type RestorePlan,
} from '../../../vault/restoring/restore-plan.ts';
import { surveyLoss, type DiskLoss } from '../../../vault/repair/loss-survey.ts';
import type { Losses } from '../../../vault/damage/losses.ts';
import type { Vault } from '../../../vault/vault.ts';
import type { ReportProgress } from '../../../kernel/progress.ts';
import { Fault, integrityOrThrow } from '../../../kernel/fault.ts';
import { incompleteText, pointSets } from '../../../vault/retention/point-sets.ts';
import { plainText } from '../../terminal/plain-text.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { rateLimitsOf, type RateOptions } from '../../options/rate-option.ts';
import { count, formatDuration } from '../../terminal/quantities.ts';
import { choosePoint } from '../../options/choose-point.ts';
import type { WhichVm } from '../../options/which-vm.ts';
import { checkedVmName, type ImageFormat } from '../import/import-plan.ts';
import { withSpending } from '../spending-options.ts';
import { leased, withVault, type VaultKey } from '../vault-access.ts';

const RANGES_SHOWN = 20;

export interface RestoreOptions extends VaultKey, WhichVm, RateOptions {
  readonly to: string;
  readonly format: ImageFormat;
  readonly disk?: string;
  readonly as?: string;
  readonly firmwareCode?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly acceptLoss?: boolean;
  readonly dryRun?: boolean;
  /** If false, chunks are not compared with their ids. */
  readonly ids: boolean;
}

/** Writes a recovery point's disks, NVRAM and definition as new files. */
export async function restorePoint(
  cli: Cli,
  asked: string,
  options: RestoreOptions,
): Promise<Outcome> {
  const { clock } = cli.environment;
  const newName = options.as === undefined ? undefined : checkedVmName(options.as);
  const startMs = clock.monotonicMs();
  return await withVault(cli, options, async (vault, spending) => {
    const points = await vault.points(cli.signal);
    const point = choosePoint(points, asked, options);
    const set = pointSets(points).find(({ groupId }) => groupId === point.origin?.group);
    if (set?.isComplete === false) {
      cli.say(incompleteText(set));
    }
    const plan = planFor(cli, point, { ...options, newName });
    if (options.dryRun === true) {
      await NewFiles.refuseExisting(filesOf(plan));
      const neededBytes = await contentBytes(vault, plan, cli.signal);
      return dryRun(plan, neededBytes, await freeBytesAt(folderOf(cli, options)));
    }
    using meter = cli.meter();
    const { report } = meter;
    await using held = new AsyncDisposableStack();
    held.use(await leased(cli, vault, [point], 'a rescue restore'));
    const limiter = limiterFor(rateLimitsOf(options).rateLimits, clock);
    const running = { signal: cli.signal, report, limiter };
    const restored = await writeOrRefuse(vault, plan, running, options);
    const durationMs = clock.monotonicMs() - startMs;
    return withSpending(done(plan, { ...restored, durationMs }), spending);
  });
}

/**
 * Restores a point. Without `--accept-loss` it restores nothing if any part of the point is lost.
 *
 * @throws Fault `vault.data-lost` with disks and ranges
 */
async function writeOrRefuse(
  vault: Vault,
  plan: RestorePlan,
  running: {
    readonly signal: AbortSignal;
    readonly report: ReportProgress;
    readonly limiter: RateLimiter | undefined;
  },
  { acceptLoss, ids }: RestoreOptions,
): Promise<Written & { readonly losses: DiskLoss[] }> {
  const how = { ...running, withoutIds: !ids };
  if (acceptLoss === true) {
    const losses = new Map<string, Losses>();
    const written = await writePlan(plan, vault, createImage, { ...how, losses });
    return { ...written, losses: lossesOf(plan, losses) };
  }
  try {
    return { ...(await writePlan(plan, vault, createImage, how)), losses: [] };
  } catch (error) {
    const { message } = integrityOrThrow(error);
    const lost = await surveyLoss(vault.inside, plan.point, running.signal);
    throw new Fault(
      'vault.data-lost',
      `${message} Of this point, as far as is known: ${lost.map(lossText).join('; ')}. Mend the vault (hyperkeep rescue repair), restore another point, or add --accept-loss to have zeroes there.`,
      { point: plan.point.id, lostBytes: lost.reduce((sum, { bytes }) => sum + bytes, 0) },
      { cause: error },
    );
  }
}

function lossesOf({ disks }: RestorePlan, losses: ReadonlyMap<string, Losses>): DiskLoss[] {
  return disks.flatMap(({ disk: { diskId, name } }) => {
    const lost = losses.get(diskId);
    return lost === undefined || lost.isEmpty
      ? []
      : [{ diskId, name, bytes: lost.bytes, ranges: lost.ranges }];
  });
}

/** Returns `disk root: 128 KiB lost, at byte 4096 (8192 bytes), …`. */
function lossText({ name, bytes, ranges }: DiskLoss): string {
  const shown = ranges
    .slice(0, RANGES_SHOWN)
    .map(({ offset, length }) => `at byte ${String(offset)} (${String(length)} bytes)`);
  const more =
    ranges.length > shown.length ? `, and ${String(ranges.length - shown.length)} more` : '';
  return `disk ${plainText(name)}: ${formatBytes(bytes)} lost, ${shown.join(', ')}${more}`;
}

function planFor(
  cli: Cli,
  point: RecoveryPoint,
  options: RestoreOptions & { readonly newName: string | undefined },
): RestorePlan {
  const { disk, format, newName } = options;
  const folder = folderOf(cli, options);
  if (disk !== undefined) {
    const name = `${fileName(newName ?? point.vmName)}-${fileName(disk)}.${format}`;
    return planDisk(point, disk, { file: join(folder, name), format });
  }
  return planVm(point, {
    folder,
    format,
    bootFiles: bootFiles(cli, options),
    ...(newName === undefined ? {} : { newName }),
  });
}

function folderOf(cli: Cli, { to }: RestoreOptions): string {
  return resolve(cli.environment.workingFolder, to);
}

function bootFiles(
  cli: Cli,
  { firmwareCode, kernel, initrd }: RestoreOptions,
): { codePath?: string; kernelPath?: string; initrdPath?: string } {
  const { workingFolder } = cli.environment;
  return {
    ...(firmwareCode === undefined ? {} : { codePath: resolve(workingFolder, firmwareCode) }),
    ...(kernel === undefined ? {} : { kernelPath: resolve(workingFolder, kernel) }),
    ...(initrd === undefined ? {} : { initrdPath: resolve(workingFolder, initrd) }),
  };
}

function dryRun(plan: RestorePlan, neededBytes: number, free: number): Outcome {
  const files = filesOf(plan);
  const enough = neededBytes <= free ? 'enough' : 'NOT enough';
  return {
    document: { dryRun: true, pointId: plan.point.id, files, neededBytes, freeBytes: free },
    text: [
      `Would restore ${plan.point.id} of ${plan.point.vmName} to new files:\n`,
      ...files.map((file) => `  ${file}\n`),
      `  needs ${formatBytes(neededBytes)}, free ${formatBytes(free)}: ${enough}\n`,
      ...plan.notes.map((note) => `  note: ${note}\n`),
    ].join(''),
  };
}

function done(
  plan: RestorePlan,
  {
    bytes: writtenBytes,
    idsChecked,
    durationMs,
    losses,
  }: Written & { readonly durationMs: number; readonly losses: readonly DiskLoss[] },
): Outcome {
  const files = filesOf(plan);
  const { definition } = plan;
  return {
    document: {
      pointId: plan.point.id,
      files,
      writtenBytes,
      idsChecked,
      durationMs,
      notes: plan.notes,
      losses,
      ...(definition === undefined ? {} : { definition: definition.content }),
    },
    text: [
      `Restored ${count(plan.disks.length, 'disk')} of ${plan.point.vmName} from ${plan.point.id}: ${formatBytes(writtenBytes)} written in ${formatDuration(durationMs)}, ${provenText(idsChecked)}.\n`,
      ...files.map((file) => `  ${file}\n`),
      ...losses.map((loss) => `  ZEROES in place of what is lost: ${lossText(loss)}\n`),
      ...plan.notes.map((note) => `  note: ${note}\n`),
      ...(definition === undefined
        ? []
        : [`Start it with: hyperkeep vm start ${definition.path}\n`]),
    ].join(''),
  };
}

function provenText(idsChecked: boolean): string {
  return idsChecked
    ? 'every byte authenticated, every chunk the one that was backed up'
    : 'every byte authenticated, chunks not compared with their ids';
}
