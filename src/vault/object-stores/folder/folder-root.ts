import { dirname, join } from 'node:path';
import { syncFolder } from '../../../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import { stat } from '../../../kernel/files/files.ts';
import { makeFolders } from '../../../kernel/files/folders.ts';
import { PREFIXES } from '../../format/object-names.ts';
import { isMissing, readFolder } from './object-file.ts';

interface Identity {
  readonly dev: number;
  readonly ino: number;
}

/**
 * Proves that a store's folder is still the one in which it first looked. When a file system is
 * unmounted, its mount point is an empty folder like any other: an object missing there need not be
 * missing in the vault, and an object written there is not in the vault.
 */
export class FolderRoot {
  readonly #folder: string;
  #known: Identity | undefined;
  #isOutdated = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** True from when the folder was found gone or replaced until it is found again. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** Makes the folder and those above it, durably. Only for making a new vault or a new copy. */
  async make(): Promise<void> {
    if (this.#known !== undefined) {
      await this.prove();
      return;
    }
    const outermost = await this.#makeFolders();
    for (let made = this.#folder; outermost !== undefined; made = dirname(made)) {
      await syncFolder(dirname(made));
      if (made === outermost) {
        break;
      }
    }
    this.#known = await identityOf(this.#folder);
  }

  async #makeFolders(): Promise<string | undefined> {
    try {
      return await makeFolders(this.#folder);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') {
        throw error;
      }
      throw new Fault(
        'store.invalid-location',
        `No folder can be made at ${this.#folder}: the file system there takes none. Nothing was made; choose a folder on a disk.`,
        { location: this.#folder },
        { cause: error },
      );
    }
  }

  /**
   * For callers that found nothing: proves that the folder is still the same. A folder that never
   * existed counts as empty.
   * @throws Fault `vault.not-found`
   */
  async proveIfSeen(): Promise<void> {
    const now = await identityOf(this.#folder);
    if (this.#known === undefined) {
      this.#known = now;
    } else {
      await this.#compare(this.#known, now);
      this.#isOutdated = false;
    }
  }

  /**
   * For callers that write: proves that the folder is there and the same. @throws Fault
   * `vault.not-found`
   */
  async prove(): Promise<void> {
    await this.proveIfSeen();
    if (this.#known === undefined) {
      throw this.#gone('is not there');
    }
  }

  async #compare(known: Identity, now: Identity | undefined): Promise<void> {
    if (now === undefined) {
      throw this.#gone('is gone');
    }
    if (now.dev !== known.dev) {
      throw this.#gone('is on another file system than before');
    }
    // Some file systems give their folders new numbers; the vault's format shows that it is the
    // same.
    if (now.ino !== known.ino) {
      if ((await readFolder(join(this.#folder, PREFIXES.format))).length === 0) {
        throw this.#gone('is another folder than before');
      }
      this.#known = now;
    }
  }

  #gone(how: string): Fault {
    this.#isOutdated = this.#known !== undefined;
    return new Fault(
      'vault.not-found',
      `The folder ${this.#folder} ${how}: it was removed, or its file system was unmounted or mounted anew. Nothing was written there. Mount it again and repeat.`,
      { location: this.#folder },
    );
  }
}

async function identityOf(folder: string): Promise<Identity | undefined> {
  try {
    const { dev, ino } = await stat(folder);
    return { dev, ino };
  } catch (error) {
    if (isMissing(error)) {
      return undefined;
    }
    throw error;
  }
}
