import { dirname } from 'node:path';
import { imageFacts } from '../../../formats/qemu-img.ts';
import { stat, statfs } from '../../../kernel/files/files.ts';
import { formatBytes } from '../../../kernel/text/bytes.ts';
import { backingUserOf } from '../layers/backing-users.ts';
import { questionOf } from '../layers/outside-changes.ts';
import { quoted } from '../state/shell-word.ts';
import { baseOf, topOf, type DiskState } from '../state/vm-state.ts';

/** Returns why a disk of a powered-off VM must stay as more than one file. */
export async function whyUnmergeable(
  disk: DiskState,
  usedByOthers: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  if ((await questionOf(disk)) !== undefined) {
    return 'an image of it was replaced or written from outside';
  }
  const { path } = baseOf(disk);
  if (usedByOthers.has(path)) {
    return `${path} is a file of another VM too`;
  }
  const user = await backingUserOf(path, new Set(disk.layers.map((layer) => layer.path)), signal);
  if (user !== undefined) {
    return `${user} has ${path} as its backing file and would be destroyed; remove or flatten it`;
  }
  const above = await imageFacts(topOf(disk), signal);
  const below = await imageFacts(baseOf(disk), signal);
  return above.virtualSize < below.virtualSize ? smallerText(disk, below.virtualSize) : undefined;
}

/** Says how a disk becomes as long as its base. Behind its old end it shows what the base has. */
function smallerText(disk: DiskState, sizeBytes: number): string {
  const { path, format } = topOf(disk);
  return (
    `the disk is smaller than ${baseOf(disk).path}, which is never cut off; ` +
    'while the VM is off, make it as long with: ' +
    `qemu-img resize -f ${format} ${quoted(path)} ${String(sizeBytes)}`
  );
}

/** Room on the file systems of the bases, for everything that the layers hold. */
export class Room {
  private readonly free = new Map<number, number>();
  private readonly kept: number;

  constructor(keptBytes: number) {
    this.kept = keptBytes;
  }

  async whyNot(disk: DiskState): Promise<string | undefined> {
    const { path } = baseOf(disk);
    const { dev } = await stat(path);
    const { bavail, bsize } = await statfs(dirname(path));
    const free = this.free.get(dev) ?? bavail * bsize - this.kept;
    const needed = await allocatedBytes(disk);
    if (free < needed) {
      const missing = formatBytes(needed - free);
      return `the file system of ${path} lacks ${missing} of room for it; free some`;
    }
    this.free.set(dev, free - needed);
    return undefined;
  }
}

/** Returns what the layers above the base take on their file system. */
async function allocatedBytes({ layers }: DiskState): Promise<number> {
  let bytes = 0;
  for (const { path } of layers.slice(1)) {
    bytes += (await stat(path)).blocks * 512;
  }
  return bytes;
}
