import { dirname } from 'node:path';
import { syncFolder, writeDurably } from '../../../kernel/files/durable-file.ts';
import { systemCode } from '../../../kernel/fault.ts';
import { readFile, rm } from '../../../kernel/files/files.ts';
import type { VmDefinition } from '../../../vm/definition.ts';
import type { UnmergedDisk } from '../../engine.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { quoted } from '../state/shell-word.ts';
import { baseOf, NVRAM, topOf, type DiskState, type VmState } from '../state/vm-state.ts';

/** Suffix of the marker file beside an image that is not the whole disk. */
const SUFFIX = '.hyperkeep-unmerged';
/** First line of the file; a file that begins otherwise is not ours. */
const HEADLINE = 'This image is not the whole disk.';

export function markerPath(basePath: string): string {
  return `${basePath}${SUFFIX}`;
}

/**
 * Returns disks of a powered-off VM whose content is in more than one file, and how to copy them.
 */
export function unmergedDisks(
  { disks, stoppedInOrder }: VmState,
  definition: VmDefinition,
  isMerging: boolean,
): UnmergedDisk[] {
  return disks
    .filter(({ layers }) => layers.length > 1)
    .map((disk) => ({
      name: nameOf(disk, definition),
      path: baseOf(disk).path,
      files: disk.layers.map(({ path }) => path),
      isMerging,
      why: whyUnmerged(disk, { isMerging, stoppedInOrder }),
      copyCommand: copyCommand(disk, isMerging),
    }));
}

function nameOf({ id }: DiskState, definition: VmDefinition): string {
  return id === NVRAM ? NVRAM : (definition.disks.find((disk) => disk.id === id)?.name ?? id);
}

function whyUnmerged(
  { whyUnmerged: why }: DiskState,
  { isMerging, stoppedInOrder }: { readonly isMerging: boolean; readonly stoppedInOrder: boolean },
): string {
  if (isMerging) {
    return 'it is being merged';
  }
  if (!stoppedInOrder) {
    return 'the VM ended without being stopped; the next start, or vm stop, merges it';
  }
  return why ?? 'it waits to be merged';
}

/**
 * Returns a command that copies the whole disk. The header of each layer names the one below.
 * During a merge QEMU holds the files, but the content of the chain stays the same.
 */
function copyCommand(disk: DiskState, isMerging: boolean): string {
  const { path, format } = topOf(disk);
  const share = isMerging ? '-U ' : '';
  return `qemu-img convert ${share}-f ${format} -O qcow2 ${quoted(path)} COPY.qcow2`;
}

/**
 * Writes a file beside each image of a powered-off VM that is not the whole disk, and removes it
 * otherwise: people who copy images see folders and not our state. Failing to write it ends
 * nothing.
 */
export async function markUnmerged(parts: EngineParts, vm: ManagedVm): Promise<void> {
  const { state, definition } = vm;
  for (const disk of vm.tracked) {
    const path = markerPath(baseOf(disk).path);
    try {
      if (disk.layers.length > 1) {
        await writeMarker(path, markerText(disk, nameOf(disk, definition), vm));
      } else {
        await removeMarker(path);
      }
    } catch (error) {
      parts.log.warn('engine.marker-failed', { vmId: state.vmId, path, error });
    }
  }
}

/** Removes the markers of a VM that starts, is released or is destroyed. */
export async function removeMarkers(parts: EngineParts, vm: ManagedVm): Promise<void> {
  for (const disk of vm.tracked) {
    const path = markerPath(baseOf(disk).path);
    await removeMarker(path).catch((error: unknown) => {
      parts.log.warn('engine.marker-failed', { vmId: vm.state.vmId, path, error });
    });
  }
}

/** Whether a marker of ours is beside the image. */
export async function isMarked(basePath: string): Promise<boolean> {
  return (await markerAt(markerPath(basePath))) === 'ours';
}

function markerText(disk: DiskState, name: string, vm: ManagedVm): string {
  const files = disk.layers.map(({ path }) => `  ${path}\n`).join('');
  return (
    `${HEADLINE} It is the lowest of ${String(disk.layers.length)} files of the disk ` +
    `"${name}" of the VM "${vm.name}", which is off.\n` +
    `Copying or changing it alone loses what is in the others. The files, lowest first:\n${files}` +
    'A copy of the whole disk, while the VM is off:\n' +
    `  ${copyCommand(disk, false)}\n` +
    `To make one file of them: hyperkeep vm stop ${vm.name} --wait\n` +
    'Hyperkeep removes this file when the image is the whole disk again, or the VM runs.\n'
  );
}

async function writeMarker(path: string, text: string): Promise<void> {
  const found = await readFile(path, 'utf8').catch(absent);
  if (found === text || (found !== undefined && !found.startsWith(HEADLINE))) {
    return;
  }
  await writeDurably(path, text);
}

async function removeMarker(path: string): Promise<void> {
  if ((await markerAt(path)) === 'ours') {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  }
}

async function markerAt(path: string): Promise<'ours' | 'foreign' | 'none'> {
  const found = await readFile(path, 'utf8').catch(absent);
  if (found === undefined) {
    return 'none';
  }
  return found.startsWith(HEADLINE) ? 'ours' : 'foreign';
}

function absent(error: unknown): undefined {
  if (systemCode(error) === 'ENOENT') {
    return undefined;
  }
  throw error;
}
