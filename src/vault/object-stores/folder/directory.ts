import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { SystemClock, type Clock } from '../../../kernel/clock.ts';
import { syncFolder } from '../../../kernel/files/durable-file.ts';
import { ownUserId } from '../../../kernel/files/held-folder.ts';
import { systemCode } from '../../../kernel/fault.ts';
import { constants, open, rm, unlink, type FileHandle } from '../../../kernel/files/files.ts';
import { refuseTooLarge } from '../../format/object-limit.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
} from '../../store/object-store.ts';
import { faultOfFileError } from './file-fault.ts';
import { FolderRoot } from './folder-root.ts';
import {
  isMissing,
  makeFolder,
  readExactly,
  readFolder,
  renameSynced,
  statIfThere,
  writeSynced,
} from './object-file.ts';
import { assertListPrefix, assertObjectKey, isObjectKey } from '../object-key.ts';
import { assertRange, resolveRange } from '../object-range.ts';

/** Objects are written here until they are whole. No key contains `~`, so no listing shows it. */
const PARTIAL_FOLDER = 'partial~';

/** Far longer than writing one object takes: an older file belongs to a dead process. */
const PARTIAL_AGE_MS_MAX = 24 * 60 * 60 * 1000;

/** A FIFO in the folder must not block the open. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

export interface DirectoryObjectStoreOptions {
  readonly clock?: Clock;
}

/**
 * One file per object, in the folders that its key names. Mode 0600 in folders 0700.
 *
 * An object is written aside, synced and renamed into place; then its folder is synced. If the
 * process is killed, the object is there whole or not at all. The folder needs an ordinary local
 * file system; the caller that opens the store checks that.
 */
export class DirectoryObjectStore extends ObjectStore {
  override readonly location: string;
  readonly #folder: string;
  readonly #root: FolderRoot;
  readonly #clock: Clock;
  /** Folders whose own entry is known to be durable. */
  readonly #durableFolders = new Set<string>();
  #isTidy = false;

  /** @param folder absolute path without `..`; only `makePlace` creates it */
  constructor(folder: string, { clock = new SystemClock() }: DirectoryObjectStoreOptions = {}) {
    super();
    this.#folder = folder;
    this.#root = new FolderRoot(folder);
    this.#clock = clock;
    this.location = folder;
  }

  override async put(key: ObjectKey, data: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertObjectKey(key);
    const path = join(this.#folder, key);
    const partial = join(this.#folder, PARTIAL_FOLDER, randomBytes(12).toString('hex'));
    await this.#attempt(async () => {
      if (!this.#isTidy) {
        await this.#removeStalePartials();
        this.#isTidy = true;
      }
      await this.#root.prove();
      await this.#ensureFolder(dirname(partial));
      await this.#ensureFolder(dirname(path));
      await writeSynced(partial, data, signal);
      await renameSynced(partial, path);
      // The folder may be gone, with another one made in its place.
      await this.#root.prove();
    });
  }

  override isOutdated(): boolean {
    return this.#root.isOutdated;
  }

  override async makePlace(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await this.#attempt(() => this.#root.make());
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#read(key, signal, async (handle, size) => {
      refuseTooLarge(key, size);
      return readExactly(handle, 0, size);
    });
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    assertRange(range);
    return this.#read(key, signal, async (handle, objectSize) => {
      const { start, end } = resolveRange(range, objectSize);
      return { data: await readExactly(handle, start, end), objectSize };
    });
  }

  override localFile(key: ObjectKey): string {
    assertObjectKey(key);
    return join(this.#folder, key);
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    assertListPrefix(prefix);
    await this.#attempt(() => this.#root.proveIfSeen());
    yield* this.#walk(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, signal);
    await this.#attempt(() => this.#root.proveIfSeen());
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertObjectKey(key);
    const path = join(this.#folder, key);
    await this.#attempt(async () => {
      try {
        await unlink(path);
        await syncFolder(dirname(path));
      } catch (error) {
        if (!isMissing(error)) {
          throw error;
        }
        // The file is already gone, as the caller wants.
        await this.#root.proveIfSeen();
      }
    });
  }

  override async close(): Promise<void> {
    // Nothing stays open between two calls.
  }

  async #attempt<Result>(operation: () => Promise<Result>): Promise<Result> {
    try {
      return await operation();
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        // Somebody removed folders in the vault: the next put makes them again.
        this.#durableFolders.clear();
      }
      throw faultOfFileError(error, this.location);
    }
  }

  async #read<Result>(
    key: ObjectKey,
    signal: AbortSignal,
    use: (handle: FileHandle, size: number) => Promise<Result>,
  ): Promise<Result | undefined> {
    signal.throwIfAborted();
    assertObjectKey(key);
    return this.#attempt(async () => {
      try {
        await using handle = await open(join(this.#folder, key), READ_FLAGS);
        const facts = await handle.stat();
        return facts.isFile() ? await use(handle, facts.size) : undefined;
      } catch (error) {
        if (isMissing(error)) {
          await this.#root.proveIfSeen();
          return undefined;
        }
        throw error;
      }
    });
  }

  /**
   * Makes `folder` and the folders above it inside the root, and makes their entries durable. A
   * folder that another process has just made counts as durable only after this process has synced
   * it too.
   */
  async #ensureFolder(folder: string): Promise<void> {
    if (this.#durableFolders.has(folder)) {
      return;
    }
    if (folder !== this.#folder) {
      await this.#ensureFolder(dirname(folder));
      await makeFolder(folder);
      await syncFolder(dirname(folder));
    }
    this.#durableFolders.add(folder);
  }

  /**
   * Removes what dead processes of this user left behind. Parallel puts may do it twice, which is
   * harmless.
   */
  async #removeStalePartials(): Promise<void> {
    const folder = join(this.#folder, PARTIAL_FOLDER);
    const eldestMs = this.#clock.nowMs() - PARTIAL_AGE_MS_MAX;
    for (const { name } of await readFolder(folder)) {
      const path = join(folder, name);
      const facts = await statIfThere(path);
      if (facts?.isFile() === true && facts.uid === ownUserId() && facts.mtimeMs < eldestMs) {
        await rm(path, { force: true });
      }
    }
  }

  /**
   * Yields the objects below `folder` (empty or ending in `/`). Holds the names of one folder per
   * level.
   */
  async *#walk(folder: string, prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    signal.throwIfAborted();
    const entries = await this.#attempt(() => readFolder(join(this.#folder, folder)));
    // A folder sorts as its keys do: with the `/` that follows its name.
    const names = entries
      .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
      .sort();
    for (const name of names) {
      signal.throwIfAborted();
      if (name.endsWith('/')) {
        if (
          isObjectKey(name.slice(0, -1)) &&
          (name.startsWith(prefix) || prefix.startsWith(name))
        ) {
          yield* this.#walk(name, prefix, signal);
        }
      } else if (name.startsWith(prefix) && isObjectKey(name)) {
        yield* await this.#entryOf(name);
      }
    }
  }

  /** Returns none if the object was removed meanwhile or is no regular file. */
  async #entryOf(key: ObjectKey): Promise<ObjectEntry[]> {
    const facts = await this.#attempt(() => statIfThere(join(this.#folder, key)));
    return facts?.isFile() === true ? [{ key, size: facts.size }] : [];
  }
}
