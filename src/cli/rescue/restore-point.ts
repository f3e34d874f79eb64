import { mkdir, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createImage } from '../../formats/image.ts';
import { formatBytes } from '../../kernel/bytes.ts';
import { PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE } from '../../kernel/durable-file.ts';
import { type ReportProgress } from '../../kernel/progress.ts';
import { type Vault } from '../../vault/vault.ts';
import { type Cli } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { count, formatDuration } from '../quantities.ts';
import { choosePoint } from './choose-point.ts';
import { contentBytes, freeBytes, requireSpace } from './free-space.ts';
import { checkedName, type ImageFormat } from './import-plan.ts';
import { PartialFiles } from './partial-files.ts';
import { filesOf, NVRAM_FILE, planRestore, type RestorePlan } from './restore-plan.ts';
import { withVault, type VaultKey } from './vault-access.ts';

export interface RestoreOptions extends VaultKey {
  readonly vm?: string;
  readonly to: string;
  readonly format: ImageFormat;
  readonly disk?: string;
  readonly as?: string;
  readonly firmwareCode?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly dryRun?: boolean;
}

/** Writes a recovery point's disks, NVRAM and definition as new files. */
export async function restorePoint(
  cli: Cli,
  asked: string,
  options: RestoreOptions,
): Promise<Outcome> {
  const { clock } = cli.environment;
  const newName = options.as === undefined ? undefined : checkedName(options.as);
  const startMs = clock.monotonicMs();
  return await withVault(cli, options, async (vault) => {
    const point = choosePoint(await vault.points(cli.signal), asked, options.vm);
    const plan = planRestore(point, {
      folder: resolve(cli.environment.workingFolder, options.to),
      format: options.format,
      bootFiles: bootFiles(cli, options),
      ...(options.disk === undefined ? {} : { disk: options.disk }),
      ...(newName === undefined ? {} : { newName }),
    });
    await PartialFiles.refuseExisting(filesOf(plan));
    const neededBytes = await contentBytes(vault, plan, cli.signal);
    const free = await freeBytes(plan.folder);
    if (options.dryRun === true) {
      return dryRun(plan, neededBytes, free);
    }
    requireSpace(plan.folder, neededBytes, free);
    const writtenBytes = await writeFiles(cli, vault, plan, neededBytes);
    return done(plan, { writtenBytes, durationMs: clock.monotonicMs() - startMs });
  });
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

async function writeFiles(
  cli: Cli,
  vault: Vault,
  plan: RestorePlan,
  neededBytes: number,
): Promise<number> {
  const { signal } = cli;
  await mkdir(plan.folder, { recursive: true, mode: PRIVATE_FOLDER_MODE });
  await using files = new PartialFiles();
  using meter = cli.meter();
  let writtenBytes = 0;
  for (const { disk, path } of plan.disks) {
    const before = writtenBytes;
    const report: ReportProgress = ({ doneBytes }) => {
      meter.report({ phase: 'restoring', doneBytes: before + doneBytes, totalBytes: neededBytes });
    };
    const pointId = plan.point.id;
    await using writer = await createImage(files.add(path), plan.format, disk.sizeBytes, signal);
    const statistics = await vault.restoreDisk({ pointId, diskId: disk.diskId }, writer, {
      signal,
      report,
    });
    await writer.flush(signal);
    writtenBytes += statistics.writtenBytes;
  }
  if (plan.nvramPath !== undefined) {
    const nvram = await vault.readFile(plan.point.id, NVRAM_FILE, signal);
    await writeNvram(files.add(plan.nvramPath), nvram, signal);
  }
  if (plan.definition !== undefined) {
    const { path, content } = plan.definition;
    await writeNew(files.add(path), `${JSON.stringify(content, undefined, 2)}\n`);
  }
  await files.publish();
  return writtenBytes;
}

/** The variable store as the VM definition wants it: a qcow2 image that stands alone. */
async function writeNvram(path: string, stored: Uint8Array, signal: AbortSignal): Promise<void> {
  if (isQcow2(stored)) {
    await writeNew(path, stored);
    return;
  }
  await using writer = await createImage(path, 'qcow2', stored.length, signal);
  await writer.write(0, stored, signal);
  await writer.flush(signal);
}

/** Format docs/interop/qcow2.rst, "General": the magic is `QFI\xfb`. */
function isQcow2(content: Uint8Array): boolean {
  return Buffer.from(content.subarray(0, 4)).equals(Buffer.from([0x51, 0x46, 0x49, 0xfb]));
}

async function writeNew(path: string, content: Uint8Array | string): Promise<void> {
  await using handle = await open(path, 'wx', PRIVATE_FILE_MODE);
  await handle.writeFile(content);
  await handle.sync();
}

function dryRun(plan: RestorePlan, neededBytes: number, free: number): Outcome {
  const files = filesOf(plan);
  const enough = neededBytes <= free ? 'enough' : 'NOT enough';
  return {
    document: { dryRun: true, pointId: plan.point.id, files, neededBytes, freeBytes: free },
    text: [
      `Would restore ${plan.point.id} of ${plan.point.vmName} to ${plan.folder}:\n`,
      ...files.map((file) => `  ${file}\n`),
      `  needs ${formatBytes(neededBytes)}, free ${formatBytes(free)}: ${enough}\n`,
      ...plan.notes.map((note) => `  note: ${note}\n`),
    ].join(''),
  };
}

function done(
  plan: RestorePlan,
  { writtenBytes, durationMs }: { readonly writtenBytes: number; readonly durationMs: number },
): Outcome {
  const files = filesOf(plan);
  const { definition } = plan;
  return {
    document: {
      pointId: plan.point.id,
      files,
      writtenBytes,
      durationMs,
      notes: plan.notes,
      ...(definition === undefined ? {} : { definition: definition.content }),
    },
    text: [
      `Restored ${count(plan.disks.length, 'disk')} of ${plan.point.vmName} from ${plan.point.id}: ${formatBytes(writtenBytes)} written in ${formatDuration(durationMs)}, every byte authenticated.\n`,
      ...files.map((file) => `  ${file}\n`),
      ...plan.notes.map((note) => `  note: ${note}\n`),
      ...(definition === undefined
        ? []
        : [`Start it with: hyperkeep vm start ${definition.path}\n`]),
    ].join(''),
  };
}
