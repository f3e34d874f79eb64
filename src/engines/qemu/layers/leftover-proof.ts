import { isFault, systemCode } from '../../../kernel/fault.ts';
import { stat } from '../../../kernel/files/files.ts';
import { identityOf } from '../state/file-identity.ts';
import { baseOf, type VmState } from '../state/vm-state.ts';

/**
 * Whether the file at `path` can be an overlay that we made for a disk of the VM: it is empty, or a
 * qcow2 file whose header names a layer of the disk. A file that somebody else put under a planned
 * name is neither.
 */
export async function isOverlayOfOurs(path: string, { disks }: VmState): Promise<boolean> {
  const found = await stat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') {
      return undefined;
    }
    throw error;
  });
  if (!found?.isFile()) {
    return false;
  }
  if (found.size === 0) {
    return true;
  }
  try {
    const { settled } = await identityOf({ number: 0, path, format: 'qcow2' }, false);
    const backing = settled?.backing ?? '';
    return disks.some((disk) => {
      const base = baseOf(disk).path;
      return backing === base || backing.startsWith(`${base}.hk-`);
    });
  } catch (error) {
    // It is no such file. If it only cannot be read now, nothing is known.
    if (isFault(error) && systemCode(error) === undefined) {
      return false;
    }
    throw error;
  }
}
