import { z } from 'zod';
import { runCommand, type CommandResult } from '../kernel/command.ts';
import { Fault, isFault, systemCode } from '../kernel/fault.ts';
import { access } from '../kernel/files/files.ts';
import { confineReadingTool } from './confinement.ts';
import { assertImagePath, imageGraph, type ImageLayer } from './image-layer.ts';
import { toolFault } from './tool-fault.ts';

/** Tracks changes in units of 4 KiB with little metadata: 128 KiB clusters of 32 subclusters. */
const OVERLAY_OPTIONS = 'cluster_size=128k,extended_l2=on';

export interface NewOverlay {
  readonly path: string;
  /** What the header will name; QEMU does not open it. */
  readonly backing: ImageLayer;
  readonly sizeBytes: number;
}

/** Makes an empty overlay. The backing image is not opened, so it may be in use. */
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
  /** The name in the header; whether the file exists was not checked. */
  readonly backingFile?: string;
  readonly backingFormat?: string;
}

/** Returns what qemu-img says about one file, without opening its backing file. */
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

/** Throws for a missing file: the tool's message would be about its own arguments. */
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
    // The tool reports any other error better.
  });
}

async function qemuImg(parameters: readonly string[], signal: AbortSignal): Promise<CommandResult> {
  return translated(runCommand('qemu-img', parameters, signal));
}

/** Runs qemu-img, with as few rights as possible, on images that others made. */
async function readingQemuImg(
  parameters: readonly string[],
  signal: AbortSignal,
): Promise<CommandResult> {
  const tool = await confineReadingTool('qemu-img', parameters);
  return translated(runCommand(tool.file, tool.parameters, signal));
}

async function translated(run: Promise<CommandResult>): Promise<CommandResult> {
  return run.catch((error: unknown) => {
    throw isFault(error, 'command.failed')
      ? toolFault('qemu-img', error.message, { cause: error })
      : error;
  });
}
