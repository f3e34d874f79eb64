import { z } from 'zod';
import { runCommand, type CommandResult } from '../kernel/command.ts';
import { Fault, isFault, systemCode } from '../kernel/fault.ts';
import { access } from '../kernel/files.ts';
import { confineReadingTool } from './confinement.ts';
import { assertImagePath, imageGraph, type ImageLayer } from './image-layer.ts';
import { toolFault } from './tool-fault.ts';

/** 4 KiB granularity of changes at little metadata: 128 KiB clusters of 32 subclusters. */
const OVERLAY_OPTIONS = 'cluster_size=128k,extended_l2=on';

export interface NewOverlay {
  readonly path: string;
  /** What the header will name; QEMU does not look at it. */
  readonly backing: ImageLayer;
  readonly sizeBytes: number;
}

/** Makes an empty differencing disk. The backing image is not opened, so it may be in use. */
export async function createOverlay(overlay: NewOverlay, signal: AbortSignal): Promise<void> {
  assertImagePath(overlay.path);
  assertImagePath(overlay.backing.path);
  await qemuImg(
    [
      ...['create', '-q', '-f', 'qcow2', '-o', OVERLAY_OPTIONS],
      ...['-u', '-F', overlay.backing.format, '-b', overlay.backing.path],
      ...[overlay.path, String(overlay.sizeBytes)],
    ],
    signal,
  );
}

/** Makes an empty qcow2 image without a backing file. An existing file keeps its owner and mode. */
export async function createQcow2(
  image: { readonly path: string; readonly sizeBytes: number },
  signal: AbortSignal,
): Promise<void> {
  assertImagePath(image.path);
  const options = 'preallocation=off';
  await qemuImg(
    ['create', '-q', '-f', 'qcow2', '-o', options, image.path, String(image.sizeBytes)],
    signal,
  );
}

const ImageFacts = z.object({
  'virtual-size': z.int().nonnegative(),
  'actual-size': z.int().nonnegative(),
  'cluster-size': z.int().positive().optional(),
  'backing-filename': z.string().optional(),
  'backing-filename-format': z.string().optional(),
  'dirty-flag': z.boolean().optional(),
});

export interface ImageFacts {
  readonly virtualSize: number;
  /** Bytes that the file takes on its host. */
  readonly allocatedSize: number;
  /** As it stands in the header; nobody has looked whether it is there. */
  readonly backingFile?: string;
  readonly backingFormat?: string;
}

/** What qemu-img says about one file, without opening its backing file. */
export async function imageFacts(layer: ImageLayer, signal: AbortSignal): Promise<ImageFacts> {
  await assertThere(layer.path);
  const { stdout } = await readingQemuImg(['info', '--output=json', imageGraph([layer])], signal);
  const facts = ImageFacts.parse(JSON.parse(stdout));
  const backingFile = facts['backing-filename'];
  const backingFormat = facts['backing-filename-format'];
  return {
    virtualSize: facts['virtual-size'],
    allocatedSize: facts['actual-size'],
    ...(backingFile === undefined ? {} : { backingFile }),
    ...(backingFormat === undefined ? {} : { backingFormat }),
  };
}

/** The tool would say so too, in words about its own arguments. */
async function assertThere(path: string): Promise<void> {
  await access(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') {
      throw new Fault(
        'formats.image-missing',
        `There is no image ${path}. Check the name; paths are those of the service's host.`,
        { path },
        { cause: error },
      );
    }
    // Whatever else is wrong with it, the tool knows better.
  });
}

const CheckReport = z.object({
  corruptions: z.int().nonnegative().default(0),
  leaks: z.int().nonnegative().default(0),
  'check-errors': z.int().nonnegative().default(0),
});

export interface ImageCheck {
  /** Places where the image contradicts itself: its content cannot be trusted. */
  readonly corruptions: number;
  /** Clusters that nothing uses: wasted space, no damage. */
  readonly leaks: number;
  readonly checkErrors: number;
}

/** Exit codes of `qemu-img check` that come with a report: clean, corrupt, leaks. */
const CHECK_REPORTS = [0, 2, 3];

/** Checks the tables of one qcow2 file; `repairLeaks` gives lost clusters back. */
export async function checkImage(
  path: string,
  options: { readonly repairLeaks?: boolean },
  signal: AbortSignal,
): Promise<ImageCheck> {
  const graph = imageGraph([{ path, format: 'qcow2' }]);
  const parameters = ['check', '--output=json'];
  const { stdout } =
    options.repairLeaks === true
      ? await qemuImg([...parameters, '-r', 'leaks', graph], signal, CHECK_REPORTS)
      : await readingQemuImg([...parameters, graph], signal, CHECK_REPORTS);
  const report = CheckReport.parse(JSON.parse(stdout));
  return {
    corruptions: report.corruptions,
    leaks: report.leaks,
    checkErrors: report['check-errors'],
  };
}

/** Grows an image that nothing has open. */
export async function growImage(
  layer: ImageLayer,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  await qemuImg(['resize', '-q', imageGraph([layer]), String(sizeBytes)], signal);
}

/**
 * Writes another backing name into a qcow2 header and looks at nothing: right only if the new
 * backing image has the same content. `undefined` makes the image stand alone.
 */
export async function renameBacking(
  path: string,
  backing: ImageLayer | undefined,
  signal: AbortSignal,
): Promise<void> {
  assertImagePath(path);
  const target = backing === undefined ? ['-b', ''] : ['-F', backing.format, '-b', backing.path];
  await qemuImg(['rebase', '-q', '-u', '-f', 'qcow2', ...target, path], signal);
}

/** Copies what the last of `layers` holds into the one below it. The last one stays as it is. */
export async function commitTop(
  layers: readonly [ImageLayer, ImageLayer, ...ImageLayer[]],
  signal: AbortSignal,
): Promise<void> {
  // -d: emptying the layer could not be undone if its deletion is not reached.
  await qemuImg(['commit', '-q', '-d', imageGraph(layers, { writable: true })], signal);
}

/** Whether all of `layers` opened as one disk read the same as `other`. */
export async function sameContent(
  layers: readonly [ImageLayer, ...ImageLayer[]],
  other: readonly [ImageLayer, ...ImageLayer[]],
  signal: AbortSignal,
): Promise<boolean> {
  const compared = await readingQemuImg(
    ['compare', '-q', imageGraph(layers), imageGraph(other)],
    signal,
    [0, 1],
  );
  return compared.exitCode === 0;
}

async function qemuImg(
  parameters: readonly string[],
  signal: AbortSignal,
  accept: readonly number[] = [0],
): Promise<CommandResult> {
  return translated(runCommand('qemu-img', parameters, signal, { accept }));
}

/** For images that others made: the tool gets as few rights as possible. */
async function readingQemuImg(
  parameters: readonly string[],
  signal: AbortSignal,
  accept: readonly number[] = [0],
): Promise<CommandResult> {
  const tool = await confineReadingTool('qemu-img', parameters);
  return translated(runCommand(tool.file, tool.parameters, signal, { accept }));
}

async function translated(run: Promise<CommandResult>): Promise<CommandResult> {
  return run.catch((error: unknown) => {
    throw isFault(error, 'command.failed')
      ? toolFault('qemu-img', error.message, { cause: error })
      : error;
  });
}
