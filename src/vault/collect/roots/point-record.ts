import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../../../kernel/files/durable-file.ts';
import { systemCode } from '../../../kernel/fault.ts';
import { readdir, readFile, rm } from '../../../kernel/files/files.ts';
import { makeFolders } from '../../../kernel/files/folders.ts';
import type { Log } from '../../../kernel/log.ts';
import { parsePointKey } from '../../format/object-names.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import { OptionalFolder } from '../../../kernel/files/optional-folder.ts';

const PointKeys = z.array(z.string().refine((key) => parsePointKey(key)?.isSeal === false));
const Remembered = z.object({
  sinceMs: z.number(),
  points: PointKeys,
  gone: PointKeys,
  holds: z.array(z.string()),
  aliases: z.array(z.string()),
});

/** What a machine remembers of the last whole listings of a vault at one place. */
export interface Remembered {
  /** Keys of all points that were there, sealed or not. */
  readonly points: ReadonlySet<ObjectKey>;
  /** Keys of points that somebody declared gone. */
  readonly gone: ReadonlySet<ObjectKey>;
  /** Holds in force and aliases. */
  readonly holds: ReadonlySet<ObjectKey>;
  readonly aliases: ReadonlySet<ObjectKey>;
  /**
   * Since when this machine has known the points; undefined if it does not, or lost some of its
   * knowledge.
   */
  readonly sinceMs: number | undefined;
}

const RECORD = /^[0-9a-f]{16}\.json$/;
const DIGEST_LENGTH = 64;
const READINGS_MAX = 5;

/**
 * The points that this machine has seen in a vault, so that it does not believe a list that leaves
 * some of them out. The record is in the cache and may be lost: then the machine waits before it
 * removes anything.
 *
 * Each write makes a new file and removes the files it read before. So neither of two processes
 * takes away what the other learned, and a write that was cut off does nothing.
 */
export class PointRecord {
  readonly #folder: string;
  readonly #log: Log;
  readonly #place: OptionalFolder;
  #read: readonly string[] = [];

  /** @param vaultFolder folder of the vault in the cache (`folderOfVault`) */
  constructor(vaultFolder: string, log: Log, place = new OptionalFolder(vaultFolder, log)) {
    this.#folder = join(vaultFolder, 'points');
    this.#log = log;
    this.#place = place;
  }

  async read(): Promise<Remembered> {
    for (let reading = 1; ; reading++) {
      const read = await this.#readOnce();
      if (!read.isReplaced || reading === READINGS_MAX) {
        return read.remembered;
      }
    }
  }

  async #readOnce(): Promise<{ remembered: Remembered; isReplaced: boolean }> {
    const names = (await namesIn(this.#folder)).filter((name) => RECORD.test(name));
    const points = new Set<ObjectKey>();
    const gone = new Set<ObjectKey>();
    const holds = new Set<ObjectKey>();
    const aliases = new Set<ObjectKey>();
    let sinceMs: number | undefined;
    let isWhole = true;
    let isReplaced = false;
    for (const name of names) {
      const part = await this.#part(name);
      if (part === 'replaced') {
        isReplaced = true;
        continue;
      }
      isWhole &&= part !== undefined;
      addAll(points, part?.points);
      addAll(gone, part?.gone);
      addAll(holds, part?.holds);
      addAll(aliases, part?.aliases);
      sinceMs = part === undefined ? sinceMs : Math.min(sinceMs ?? Infinity, part.sinceMs);
    }
    this.#read = names;
    const isKnown = isWhole && !isReplaced;
    return {
      remembered: { points, gone, holds, aliases, sinceMs: isKnown ? sinceMs : undefined },
      isReplaced,
    };
  }

  /**
   * Replaces what was read. A cache that cannot be written counts as missing.
   * @returns whether it was kept
   */
  async write(what: Remembered & { readonly sinceMs: number }): Promise<boolean> {
    const body = JSON.stringify({
      sinceMs: what.sinceMs,
      points: [...what.points],
      gone: [...what.gone],
      holds: [...what.holds],
      aliases: [...what.aliases],
    });
    const name = `${randomBytes(8).toString('hex')}.json`;
    const path = join(this.#folder, name);
    return this.#place.use(false, async () => {
      await makeFolders(this.#folder);
      await writeDurably(path, `${digest(body)}\n${body}`);
      for (const old of this.#read) {
        await rm(join(this.#folder, old), { force: true });
      }
      this.#read = [name];
      return true;
    });
  }

  /**
   * @returns undefined if it is damaged; `replaced` if another process has just written a newer one
   */
  async #part(name: string): Promise<z.infer<typeof Remembered> | 'replaced' | undefined> {
    const text = await textOf(join(this.#folder, name));
    if (text === undefined) {
      return 'replaced';
    }
    const body = text.slice(DIGEST_LENGTH + 1);
    const part =
      text.slice(0, DIGEST_LENGTH) === digest(body)
        ? Remembered.safeParse(JSON.parse(body)).data
        : undefined;
    if (part === undefined) {
      this.#log.warn('vault.point-record-damaged', { folder: this.#folder, name });
    }
    return part;
  }
}

/** @returns undefined if there is no such file, an empty text if it cannot be read */
async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) {
      throw error;
    }
    return code === 'ENOENT' ? undefined : '';
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === undefined) {
      throw error;
    }
    return [];
  }
}

function addAll(set: Set<ObjectKey>, keys: readonly ObjectKey[] = []): void {
  for (const key of keys) {
    set.add(key);
  }
}

function digest(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}
