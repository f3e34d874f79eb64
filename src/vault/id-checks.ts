import { isFault } from '../kernel/fault.ts';

/**
 * Whether the ids of chunks are computed from what was read. A frame's tag proves that somebody
 * with the key wrote it, not that it is what the point was made of: the ids of a point, which its
 * content MACs cover, do.
 */
export class IdChecks {
  readonly areWanted: boolean;
  #areAvailable = true;

  constructor(areWanted: boolean) {
    this.areWanted = areWanted;
  }

  get areMade(): boolean {
    return this.areWanted && this.#areAvailable;
  }

  /** False once this machine turned out not to be able to. */
  get areAvailable(): boolean {
    return this.#areAvailable;
  }

  /**
   * Runs work with ids where they are wanted, and without where this machine cannot compute them.
   */
  async run<T>(work: (withIds: boolean) => Promise<T>): Promise<T> {
    if (this.areMade) {
      try {
        return await work(true);
      } catch (error) {
        if (!isFault(error, 'vault.chunk-id-unavailable')) {
          throw error;
        }
        // Said in the result: tags are checked all the same, ids are not.
        this.#areAvailable = false;
      }
    }
    return work(false);
  }
}
