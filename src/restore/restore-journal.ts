import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../kernel/files/durable-file.ts';
import { systemCode } from '../kernel/fault.ts';
import { readdir, readFile, rm } from '../kernel/files/files.ts';
import { makeFolders } from '../kernel/files/folders.ts';
import { removeLeftover } from '../kernel/files/leftover.ts';
import { PART_SUFFIX } from '../kernel/files/part-file.ts';

const Note = z.strictObject({ files: z.array(z.string()) });
const NOTE_SUFFIX = '.json';

/**
 * Records the files that restores of this service are writing, which a killed service leaves
 * behind.
 */
export class RestoreJournal {
  constructor(private readonly folder: string) {}

  /** Records the files of a restore before the first of them is made. Disposing forgets them. */
  async begin(files: readonly string[]): Promise<AsyncDisposable> {
    await makeFolders(this.folder);
    const path = join(this.folder, `${randomUUID()}${NOTE_SUFFIX}`);
    await writeDurably(path, JSON.stringify({ files }));
    return {
      [Symbol.asyncDispose]: async () => {
        await rm(path, { force: true });
      },
    };
  }

  /**
   * Removes what restores of an earlier service left half-written. Call it before the first
   * restore. Files with their final names are whole and stay.
   *
   * @returns the half-written files that were found
   */
  async removeLeftovers(): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await this.names()) {
      const path = join(this.folder, name);
      if (name.endsWith(NOTE_SUFFIX)) {
        removed.push(...(await removeParts(filesOf(await readFile(path, 'utf8')))));
      }
      // Anything else is an unfinished note: its restore had not begun.
      await rm(path);
    }
    return removed;
  }

  private async names(): Promise<string[]> {
    return readdir(this.folder).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') {
        return [];
      }
      throw error;
    });
  }
}

/** A damaged note names no files; it must not keep the service from starting. */
function filesOf(note: string): readonly string[] {
  try {
    return Note.parse(JSON.parse(note)).files;
  } catch {
    return [];
  }
}

async function removeParts(files: readonly string[]): Promise<string[]> {
  const removed: string[] = [];
  for (const part of files.map((file) => `${file}${PART_SUFFIX}`)) {
    if ((await removeLeftover(part)) === 'removed') {
      removed.push(part);
    }
  }
  return removed;
}
