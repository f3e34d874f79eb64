import { dirname } from 'node:path';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { statfs } from '../../kernel/files/files.ts';
import type { VaultToRead } from './vault-to-read.ts';
import type { RestorePlan } from './restore-plan.ts';

/** Returns the bytes of content in the disks of the plan: what their files take, without holes. */
export async function contentBytes(
  vault: Pick<VaultToRead, 'openDisk'>,
  { point, disks }: RestorePlan,
  signal: AbortSignal,
): Promise<number> {
  let total = 0;
  for (const { disk } of disks) {
    await using reader = await vault.openDisk(point.id, disk.diskId, signal);
    for await (const { content, length } of reader.extents(signal)) {
      total += content === 'data' ? length : 0;
    }
  }
  return total;
}

/** @throws Fault `restore.no-space` if `folder`, or the place where it will be, has less room */
export async function requireSpace(folder: string, neededBytes: number): Promise<void> {
  const freeBytes = await freeBytesAt(folder);
  if (neededBytes > freeBytes) {
    throw new Fault(
      'restore.no-space',
      `${folder} has ${formatBytes(freeBytes)} free, the disks need ${formatBytes(neededBytes)}. Make room or choose another folder.`,
      { folder, neededBytes, freeBytes },
    );
  }
}

/** Returns the bytes that can still be written where `folder` is or will be. */
export async function freeBytesAt(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && dirname(folder) !== folder) {
      return await freeBytesAt(dirname(folder));
    }
    throw error;
  }
}
