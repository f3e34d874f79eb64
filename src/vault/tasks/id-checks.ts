import { isFault } from '../../kernel/fault.ts';

/**
 * Decides whether the ids of chunks are computed from what was read. A frame's tag proves that
 * somebody with the key wrote it, but not that the point was made of it. The ids of a point, which
 * its content MACs cover, prove that.
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

  /** False once this machine has turned out to lack the add-on. */
  get areAvailable(): boolean {
    return this.#areAvailable;
  }

  /**
   * Runs work with ids if they are wanted, and without them if this machine cannot compute them.
   */
  async run<T>(work: (withIds: boolean) => Promise<T>): Promise<T> {
    if (this.areMade) {
      try {
        return await work(true);
      } catch (error) {
        if (!isFault(error, 'vault.chunk-id-unavailable')) {
          throw error;
        }
        // The result says that tags were checked and ids were not.
        this.#areAvailable = false;
      }
    }
    return work(false);
  }
}
