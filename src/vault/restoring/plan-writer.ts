import { isQcow2 } from '../../disk/qcow2-start.ts';
import { dirname } from 'node:path';
import type { DiskWriter } from '../../disk/disk-writer.ts';
import { open } from '../../kernel/files/files.ts';
import type { RateLimiter } from '../../kernel/rates/rate-limiter.ts';
import { partOf, type ReportProgress } from '../../kernel/progress.ts';
import type { VaultToRead } from './vault-to-read.ts';
import { Losses } from '../damage/losses.ts';
import { contentBytes, requireSpace } from './free-space.ts';
import { NewFiles } from '../../kernel/files/new-files.ts';
import { NVRAM_FILE } from '../points/recovery-point.ts';
import { filesOf, type ImageFormat, type RestorePlan } from './restore-plan.ts';
import { makeFolders } from '../../kernel/files/folders.ts';

/** Makes an image in an empty file. `formats/image.ts` has the real one. */
export type CreateImage = (
  path: string,
  format: ImageFormat,
  sizeBytes: number,
  signal: AbortSignal,
) => Promise<DiskWriter>;

interface Running {
  readonly signal: AbortSignal;
  readonly report: ReportProgress;
  /** Accepts losses if given, and gets what could not be restored, by disk id. */
  readonly losses?: Map<string, Losses>;
  /** Checks tags only: chunks need not be proven to be those that the point was made of. */
  readonly withoutIds?: boolean;
  /** Limits what is read from the vault. */
  readonly limiter?: RateLimiter | undefined;
}

export interface Written {
  /** Bytes of content; holes are not counted. */
  readonly bytes: number;
  /** Whether every chunk was proven to be the one that the point was made of. */
  readonly idsChecked: boolean;
}

/**
 * Carries a plan out: all files or none. If the host dies meanwhile, there are `.part` files and no
 * definition.
 * @throws Fault `target.exists`, `restore.no-space` before anything is written
 */
export async function writePlan(
  plan: RestorePlan,
  vault: VaultToRead,
  createImage: CreateImage,
  { signal, report, losses, withoutIds = false, limiter }: Running,
): Promise<Written> {
  report({ phase: 'preparing', doneBytes: 0, totalBytes: 0 });
  const paths = filesOf(plan);
  await NewFiles.refuseExisting(paths);
  // Does not check the room if losses are accepted: with lost maps nobody knows how much is left.
  const neededBytes = losses === undefined ? await contentBytes(vault, plan, signal) : 0;
  for (const folder of new Set(paths.map((path) => dirname(path)))) {
    await requireSpace(folder, neededBytes);
    await makeFolders(folder);
  }

  await using files = new NewFiles();
  let bytes = 0;
  let idsChecked = true;
  let beforeBytes = 0;
  for (const { disk, path } of plan.disks) {
    const part = await files.add(path);
    await using writer = await createImage(part, plan.format, disk.sizeBytes, signal);
    let partBytes = 0;
    const lost = losses === undefined ? undefined : new Losses();
    if (lost !== undefined) {
      losses?.set(disk.diskId, lost);
    }
    const statistics = await vault.restoreDisk(
      { pointId: plan.point.id, diskId: disk.diskId },
      writer,
      {
        signal,
        withoutIds,
        limiter,
        ...(lost === undefined ? {} : { losses: lost }),
        report: partOf(
          (progress) => {
            partBytes = Math.max(partBytes, progress.doneBytes - beforeBytes);
            report({ ...progress, totalBytes: Math.max(neededBytes, progress.doneBytes) });
          },
          { beforeBytes, afterBytes: 0 },
        ),
      },
    );
    await writer.flush(signal);
    beforeBytes += partBytes;
    bytes += statistics.writtenBytes;
    idsChecked &&= statistics.idsChecked;
  }
  await writeSmallFiles(plan, vault, createImage, { files, signal });
  await files.publish();
  return { bytes, idsChecked };
}

async function writeSmallFiles(
  { point, nvramPath, definition }: RestorePlan,
  vault: VaultToRead,
  createImage: CreateImage,
  { files, signal }: { readonly files: NewFiles; readonly signal: AbortSignal },
): Promise<void> {
  if (nvramPath !== undefined) {
    const stored = await vault.readFile(point.id, NVRAM_FILE, signal);
    const path = await files.add(nvramPath);
    if (isQcow2(stored)) {
      await fillFile(path, stored);
    } else {
      await using writer = await createImage(path, 'qcow2', stored.length, signal);
      await writer.write(0, stored, signal);
      await writer.flush(signal);
    }
  }
  if (definition !== undefined) {
    const text = `${JSON.stringify(definition.content, undefined, 2)}\n`;
    await fillFile(await files.add(definition.path), text);
  }
}

async function fillFile(path: string, content: Uint8Array | string): Promise<void> {
  await using handle = await open(path, 'r+');
  await handle.writeFile(content);
  await handle.sync();
}
