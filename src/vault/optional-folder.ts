import { SystemFault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { systemFault } from '../kernel/system-fault.ts';

/**
 * A folder of this machine that spares work and is needed for nothing. Once the system refuses
 * something in it (it is full, read-only, not ours), that is told once, and from then on there is
 * no such folder.
 */
export class OptionalFolder {
  readonly path: string;
  readonly #log: Log;
  #isGivenUp = false;

  constructor(path: string, log: Log) {
    this.path = path;
    this.#log = log;
  }

  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** @returns `otherwise` once the folder is given up */
  async use<Result, Other>(
    otherwise: Other,
    operation: () => Promise<Result>,
  ): Promise<Result | Other> {
    if (this.#isGivenUp) {
      return otherwise;
    }
    try {
      return await operation();
    } catch (error) {
      this.giveUp(error);
      return otherwise;
    }
  }

  /** @throws `error` itself if it is none of the system */
  giveUp(error: unknown): void {
    const fault = systemFault(error);
    if (!(fault instanceof SystemFault)) {
      throw error;
    }
    if (!this.#isGivenUp) {
      this.#isGivenUp = true;
      this.#log.warn('vault.cache-not-used', {
        why: fault.message,
        effect: 'the command goes on, with more requests to the store',
      });
    }
  }
}
