import { dirname } from 'node:path';
import { Fault, isFault, systemCode } from '../../../kernel/fault.ts';
import { stat } from '../../../kernel/files/files.ts';
import { identityOf } from '../state/file-identity.ts';
import { baseOf, type VmState } from '../state/vm-state.ts';

/**
 * Whether the folder of `path` is the one that the VM's images are in: one of them is there. A
 * mount over it, or one that went away, hides files and does not remove them.
 */
export async function isFolderOfImages(path: string, { disks }: VmState): Promise<boolean> {
  const folder = dirname(path);
  for (const { path: image, identity } of disks.map(baseOf)) {
    if (dirname(image) === folder) {
      const found = await statIfThere(image);
      const inode = identity?.inode;
      if (found !== undefined && (inode === undefined || inode === String(found.ino))) {
        return true;
      }
    }
  }
  return false;
}

/**
 * Requires that each image of a VM is at its place or was removed from it. One that is missing on a
 * file system that it was not on is hidden: a disk is not mounted.
 * @throws Fault `engine.image-missing`
 */
export async function assertNotHidden({ disks }: VmState): Promise<void> {
  for (const { path, identity } of disks.map(baseOf)) {
    if ((await statIfThere(path)) !== undefined) {
      continue;
    }
    const folder = await statIfThere(dirname(path));
    if (folder === undefined || identity?.device !== String(folder.dev)) {
      throw new Fault(
        'engine.image-missing',
        `The image ${path} is not there, and neither is the file system that it was on. Nothing was removed. Mount it; if the image is gone for good, put an empty file in its place.`,
        { path },
      );
    }
  }
}

async function statIfThere(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  return stat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') {
      return undefined;
    }
    throw error;
  });
}

/**
 * Whether the file at `path` can be an overlay that we made for a disk of the VM: it is empty, or a
 * qcow2 file whose header names a layer of the disk. A file that somebody else put under a planned
 * name is neither.
 */
export async function isOverlayOfOurs(path: string, { disks }: VmState): Promise<boolean> {
  const found = await statIfThere(path);
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
