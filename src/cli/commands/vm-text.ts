import type { Vm } from '../../api/contract/vms.ts';

/** Returns which images are not the whole disk, and how to copy the disk. */
export function unmergedText(vms: readonly Vm[]): string {
  return vms
    .flatMap(({ name: vm, unmerged }) => unmerged.map((disk) => ({ vm, ...disk })))
    .map(
      ({ vm, name, path, files, why, copyCommand }) =>
        `\nDisk ${name} of ${vm} is ${String(files.length)} files and not ${path} alone (${why}).\n` +
        `  To copy all of it: ${copyCommand}\n` +
        `  To make it one file: hyperkeep vm stop ${vm} --wait\n`,
    )
    .join('');
}
