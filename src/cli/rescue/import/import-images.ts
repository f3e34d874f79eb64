import { resolve } from 'node:path';
import type { DiskReader } from '../../../disk/disk-reader.ts';
import { formatBytes } from '../../../kernel/text/bytes.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import { readFile, realpath } from '../../../kernel/files/files.ts';
import type { ReportProgress } from '../../../kernel/progress.ts';
import {
  NVRAM_FILE,
  type PointDisk,
  type RecoveryPoint,
} from '../../../vault/points/recovery-point.ts';
import type { PointWriter } from '../../../vault/vault.ts';
import type { CompressionLevel } from '../../../vault/bytes/zstd.ts';
import { checkedDefinition } from '../../../vm/checked-definition.ts';
import { VmDefinition } from '../../../vm/definition.ts';
import { storedDefinition } from '../../../vm/restored-definition.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import type { WhichVm } from '../../options/which-vm.ts';
import { count, formatDuration } from '../../terminal/quantities.ts';
import {
  checkedVmName,
  imageRequests,
  planImport,
  type ImageFormat,
  type ImageToRead,
  type ImportPlan,
  type PlannedDisk,
} from './import-plan.ts';
import { leftOutOf, settleFormats } from './image-formats.ts';
import { openImage } from '../../../formats/image.ts';
import { pointDocument } from '../points/point-list.ts';
import { withSpending } from '../spending-options.ts';
import { withVault, type VaultKey } from '../vault-access.ts';

export interface ImportOptions extends VaultKey, WhichVm {
  readonly diskName: readonly string[];
  readonly format?: ImageFormat;
  readonly definition?: string;
  readonly compression?: CompressionLevel;
}

const NVRAM_BYTES_MAX = 64 * 1024 * 1024;

interface OpenedDisk extends PlannedDisk {
  readonly reader: DiskReader;
}

/**
 * Makes a recovery point of image files: reads what is allocated in them, and stores only chunks
 * that the vault lacks.
 */
export async function importImages(
  cli: Cli,
  files: readonly string[],
  options: ImportOptions,
): Promise<Outcome> {
  const { clock, workingFolder } = cli.environment;
  const which = {
    vmId: options.vmId,
    vm: options.vm === undefined ? undefined : checkedVmName(options.vm),
  };
  const images = await requestedImages(cli, files, options);
  const leftOut = await leftOutOf(images, cli.signal);
  const given =
    options.definition === undefined
      ? undefined
      : await readDefinition(resolve(workingFolder, options.definition));
  const nvram =
    given?.firmware.kind === 'uefi' ? await readNvram(given.firmware.nvramPath) : undefined;
  const startMs = clock.monotonicMs();
  return await withVault(cli, options, async (vault, spending) => {
    const { keys } = vault.inside.base;
    const idOf = (...words: readonly string[]): string => keys.idOf(...words);
    const planned = planImport(which, images, await vault.points(cli.signal), idOf);
    const plan = { ...planned, notes: [...planned.notes, ...leftOut] };
    await using resources = new AsyncDisposableStack();
    const opened: OpenedDisk[] = [];
    for (const disk of plan.disks) {
      const reader = resources.use(await openImage(disk.path, disk.format, cli.signal));
      opened.push({ ...disk, reader });
    }
    const configuration = definitionOf(plan, opened, given);
    const { compression: compressionLevel } = options;
    const vm = { ...plan, ...(compressionLevel && { compressionLevel }) };
    const writer = resources.use(await vault.beginPoint(vm, cli.signal));
    const point = await writePoint(cli, { plan, opened, writer, configuration, nvram });
    return withSpending(outcome(point, plan, clock.monotonicMs() - startMs), spending);
  });
}

/** The typed name decides the format; the file that it leads to is read. */
async function requestedImages(
  cli: Cli,
  files: readonly string[],
  { diskName: diskNames, format }: ImportOptions,
): Promise<ImageToRead[]> {
  const typed = files.map((file) => resolve(cli.environment.workingFolder, file));
  const requests = imageRequests(typed, { diskNames, ...(format && { format }) });
  const found = await Promise.all(
    requests.map(async (request) => ({ ...request, path: await imagePath(request.path) })),
  );
  return await settleFormats(cli, found, format !== undefined);
}

/** Resolves links, because a link may be changed while it is read. */
async function imagePath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw new Fault('request.invalid', `There is no image ${path}.`, { path }, { cause: error });
    }
    throw error;
  }
}

async function writePoint(
  cli: Cli,
  import_: {
    readonly plan: ImportPlan;
    readonly opened: readonly OpenedDisk[];
    readonly writer: PointWriter;
    readonly configuration: VmDefinition;
    readonly nvram: Uint8Array | undefined;
  },
): Promise<RecoveryPoint> {
  const { plan, opened, writer, configuration, nvram } = import_;
  const takenAtMs = cli.environment.clock.nowMs();
  const { signal } = cli;
  using meter = cli.meter();
  for (const [index, { diskId, name, reader }] of opened.entries()) {
    const report: ReportProgress = (progress) => {
      const which =
        opened.length > 1 ? `${name} (${String(index + 1)}/${String(opened.length)}) ` : '';
      meter.report({ ...progress, phase: `${which}${progress.phase}` });
    };
    await writer.addDisk(
      {
        diskId,
        name,
        sizeBytes: reader.size,
        reader,
        changes: { method: 'full', reason: 'imported-image' },
      },
      { signal, report },
    );
  }
  if (nvram !== undefined) {
    await writer.addFile(NVRAM_FILE, nvram, signal);
  }
  return await writer.commit(
    {
      takenAtMs,
      consistency: 'imported',
      notes: plan.notes,
      configuration,
      origin: { kind: 'import' },
    },
    signal,
  );
}

/**
 * Returns the given definition, that of the last point, or a plain one, with the disks of this
 * import. Checks it before anything is stored.
 * @throws Fault `vm.definition-invalid`
 */
function definitionOf(
  plan: ImportPlan,
  opened: readonly OpenedDisk[],
  given: VmDefinition | undefined,
): VmDefinition {
  const earlier =
    plan.previous === undefined ? undefined : VmDefinition.safeParse(plan.previous.configuration);
  const definition = {
    ...(given ?? earlier?.data),
    id: plan.vmId,
    name: plan.vmName,
    disks: opened.map(({ diskId, name, path, format, reader }) => ({
      id: diskId,
      name,
      path: remark(path),
      format,
      sizeBytes: reader.size,
    })),
  };
  return checkedDefinition(definition, 'No definition can be made for these images');
}

/** Where the image was, for people: a restore never uses it, and engines refuse such characters. */
function remark(path: string): string {
  return path.toWellFormed().replace(/[\p{Cc},]/gu, '_');
}

async function readDefinition(path: string): Promise<VmDefinition> {
  try {
    return storedDefinition(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (error instanceof Fault) {
      throw new Fault('vm.definition-invalid', `${path}: ${error.message}`, { path });
    }
    const reason = systemCode(error) === 'ENOENT' ? 'there is no such file' : 'not JSON';
    throw new Fault('vm.definition-invalid', `${path}: ${reason}.`, { path }, { cause: error });
  }
}

async function readNvram(path: string): Promise<Uint8Array> {
  const content = await readFile(path);
  if (content.length > NVRAM_BYTES_MAX) {
    throw new Fault('vm.definition-invalid', `${path} is too large to be an NVRAM.`, { path });
  }
  return content;
}

function outcome(point: RecoveryPoint, plan: ImportPlan, durationMs: number): Outcome {
  const disk = ({ name, sizeBytes, statistics }: PointDisk): string =>
    `  ${name}: ${formatBytes(sizeBytes)}, read ${formatBytes(statistics.readBytes)}, new ${formatBytes(statistics.newBytes)}, stored ${formatBytes(statistics.storedBytes)}\n`;
  const first = plan.previous === undefined ? 'first recovery point' : 'recovery point';
  return {
    document: { point: pointDocument(point), durationMs },
    text: [
      `${point.id}: ${first} of ${plan.vmName}, ${count(point.disks.length, 'disk')}, ${formatDuration(durationMs)}.\n`,
      ...point.disks.map(disk),
      ...plan.notes.map((note) => `  note: ${note}\n`),
    ].join(''),
  };
}
