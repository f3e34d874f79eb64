import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PRIVATE_FILE_MODE } from '../../kernel/files/durable-file.ts';
import { opendir, readdir, readFile, rename, rm, writeFile } from '../../kernel/files/files.ts';
import { SilentLog, type Log } from '../../kernel/log.ts';
import { systemCode } from '../../kernel/fault.ts';
import { makeFolders } from '../../kernel/files/folders.ts';
import { OptionalFolder } from '../../kernel/files/optional-folder.ts';
import { parsePackKey, type PackName } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { PackEnd } from './pack-tail.ts';

const WRITING = /^writing\.[0-9a-f]{16}$/;
const LISTED = 'listed';

/**
 * Pack footers kept on this machine, encrypted as in the vault and verified on every use. Losing
 * them, or having no usable folder, costs only requests. The mark `listed` says that all packs of
 * the vault were learned once. A mark `writing.*` found at the start says that a writer died and
 * may have uploaded packs that are not here.
 */
export class FooterCache {
  readonly #folder: string;
  readonly #place: OptionalFolder;

  private constructor(place: OptionalFolder) {
    this.#place = place;
    this.#folder = place.path;
  }

  /**
   * @param place identity of the store: a copy of a vault has the same id but other packs, and
   *   packs that only the other one has must never be deduplicated against
   */
  static async open(
    cacheFolder: string,
    vaultId: string,
    { place, log = new SilentLog() }: { readonly place: string; readonly log?: Log },
  ): Promise<FooterCache> {
    const folder = new OptionalFolder(folderOfVault(cacheFolder, vaultId, place), log);
    await folder.use(undefined, async () => {
      for (const part of ['footers', 'lists']) {
        await makeFolders(join(folder.path, part));
      }
    });
    return new FooterCache(folder);
  }

  /**
   * Yields all packs kept, in no order. If they cannot be read to the end, the packs need listing.
   */
  async *packs(): AsyncIterable<PackName> {
    if (this.#place.isGivenUp) {
      return;
    }
    try {
      // One by one: all names of a large vault at once leave garbage that is never given back.
      const folder = await opendir(join(this.#folder, 'footers'), { bufferSize: 1024 });
      for await (const { name } of folder) {
        const pack = parsePackKey(toKey(name));
        if (pack !== undefined) {
          yield pack;
        }
      }
    } catch (error) {
      this.#place.giveUp(error);
    }
  }

  async get(key: ObjectKey): Promise<PackEnd | undefined> {
    const content = await this.#read(this.#path(key));
    return content === undefined || content.length < 8
      ? undefined
      : { objectSize: Number(content.readBigUInt64LE(0)), tail: content.subarray(8) };
  }

  async put(key: ObjectKey, { objectSize, tail }: PackEnd): Promise<void> {
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(objectSize));
    await this.#write(this.#path(key), Buffer.concat([size, tail]));
  }

  /** Returns a list of slots as it is in the vault. Lists never change and never go. */
  async getList(key: ObjectKey): Promise<Uint8Array | undefined> {
    return this.#read(this.#path(key, 'lists'));
  }

  async putList(key: ObjectKey, object: Uint8Array): Promise<void> {
    await this.#write(this.#path(key, 'lists'), object);
  }

  async remove(key: ObjectKey): Promise<void> {
    await this.#place.use(undefined, async () => rm(this.#path(key), { force: true }));
  }

  /** True if the vault's packs must be listed, because some may not be here. */
  async needsListing(): Promise<boolean> {
    const none: string[] = [];
    const names = await this.#place.use(none, async () => readdir(this.#folder));
    return !names.includes(LISTED) || names.some((name) => WRITING.test(name));
  }

  /** Call it when all packs were listed and their footers are here. */
  async markListed(): Promise<void> {
    await this.#place.use(undefined, async () => {
      for (const name of await readdir(this.#folder)) {
        if (WRITING.test(name) || name.endsWith('.tmp')) {
          await rm(join(this.#folder, name), { force: true });
        }
      }
      await writeFile(join(this.#folder, LISTED), '', { mode: PRIVATE_FILE_MODE });
    });
  }

  /** Marks the cache as not matching the vault: packs are listed when the vault is next opened. */
  async markUnlisted(): Promise<void> {
    await this.#place.use(undefined, async () => rm(join(this.#folder, LISTED), { force: true }));
  }

  /** Marks that packs may be uploaded which are not here, until the returned function is called. */
  async markWriting(): Promise<() => Promise<void>> {
    const path = join(this.#folder, `writing.${randomBytes(8).toString('hex')}`);
    await this.#place.use(undefined, async () => writeFile(path, '', { mode: PRIVATE_FILE_MODE }));
    // If the folder fails meanwhile, the mark stays, because uploaded packs are not here.
    return async () => this.#place.use(undefined, async () => rm(path, { force: true }));
  }

  /** The folder of the vault in the cache, for what else this machine keeps of the vault. */
  get folder(): OptionalFolder {
    return this.#place;
  }

  #path(key: ObjectKey, part = 'footers'): string {
    return join(this.#folder, part, key.replaceAll('/', '_'));
  }

  /** Not synced: what a power loss takes away is fetched again. */
  async #write(path: string, content: Uint8Array): Promise<void> {
    const temporary = join(this.#folder, `${randomBytes(8).toString('hex')}.tmp`);
    await this.#place.use(undefined, async () => {
      try {
        await writeFile(temporary, content, { mode: PRIVATE_FILE_MODE });
        await rename(temporary, path);
      } catch (error) {
        await this.#removeAfter(temporary);
        throw error;
      }
    });
  }

  /** Removes what could not be written, which would fill the folder or pass for the whole file. */
  async #removeAfter(temporary: string): Promise<void> {
    for (const path of [temporary, join(this.#folder, LISTED)]) {
      await rm(path, { force: true }).catch(() => undefined);
    }
  }

  async #read(path: string): Promise<Buffer | undefined> {
    return this.#place.use(undefined, async () => {
      try {
        return await readFile(path);
      } catch (error) {
        if (systemCode(error) === 'ENOENT') {
          return undefined;
        }
        throw error;
      }
    });
  }
}

/** Returns the folder for what this machine knows of a vault at a place. */
export function folderOfVault(cacheFolder: string, vaultId: string, place: string): string {
  const placeHash = createHash('sha256').update(place).digest('hex').slice(0, 16);
  return join(cacheFolder, `${vaultId}-${placeHash}`);
}

function toKey(name: string): ObjectKey {
  return name.replaceAll('_', '/');
}
