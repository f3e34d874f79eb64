import { SystemFault } from '../fault.ts';
import type { Log } from '../log.ts';
import { systemFault } from './system-fault.ts';

/**
 * A folder on this machine that saves work but is never needed. Once the system refuses something
 * in it (it is full, read-only or not ours), this is logged once, and the folder is no longer used.
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

  /** @throws `error` itself unless it is a system error */
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
