import { join } from 'node:path';
import { imageGraph, type ImageLayer } from '../../../formats/image-layer.ts';
import { runCommand } from '../../../kernel/command.ts';
import { Fault } from '../../../kernel/fault.ts';
import { readFile, rm, stat } from '../../../kernel/files/files.ts';
import { makeTemporaryFolder } from '../../../kernel/files/temporary-folder.ts';
import { frozenChain } from '../state/disk-changes.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { NVRAM } from '../state/vm-state.ts';

/** A variable store is at most a few MiB; a larger image is not one. */
const NVRAM_BYTES_MAX = 64 * 1024 * 1024;

/** Returns the frozen variable store as one complete qcow2 image; undefined if the VM has none. */
export async function frozenNvram(
  vm: ManagedVm,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const disk = vm.state.disks.find(({ id }) => id === NVRAM);
  const layers = (disk === undefined ? [] : frozenChain(disk)).map(
    ({ path, format }): ImageLayer => ({ path, format }),
  );
  const [base, ...rest] = layers;
  if (base === undefined) {
    return undefined;
  }
  const folder = await makeTemporaryFolder('hk-nvram-');
  try {
    const copy = join(folder, 'nvram.qcow2');
    const graph = imageGraph([base, ...rest]);
    await runCommand('qemu-img', ['convert', '-q', '-O', 'qcow2', graph, copy], signal);
    if ((await stat(copy)).size > NVRAM_BYTES_MAX) {
      throw new Fault('engine.image-refused', 'The variable store is larger than 64 MiB.');
    }
    return new Uint8Array(await readFile(copy));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
