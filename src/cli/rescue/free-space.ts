import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatBytes } from '../../kernel/bytes.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { type Vault } from '../../vault/vault.ts';
import { type RestorePlan } from './restore-plan.ts';

/** Bytes of content in the disks of the plan: what the restored files will take, without holes. */
export async function contentBytes(
  vault: Vault,
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

/** Bytes that a user may still write where `folder` is or will be. */
export async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && dirname(folder) !== folder) {
      return await freeBytes(dirname(folder));
    }
    throw error;
  }
}

/** @throws Fault `restore.no-space` */
export function requireSpace(folder: string, neededBytes: number, free: number): void {
  if (neededBytes > free) {
    throw new Fault(
      'restore.no-space',
      `${folder} has ${formatBytes(free)} free, the disks need ${formatBytes(neededBytes)}. Make room, or choose another folder with --to.`,
      { folder, neededBytes, freeBytes: free },
    );
  }
}
