import { mergeExtents, type Extent } from '../../disk/extent.ts';
import { isIntegrity } from '../../kernel/fault.ts';

/** Ranges of a disk that could not be read anywhere, and that are zero in the restored disk. */
export class Losses {
  #ranges: Extent[] = [];

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** In bytes, ascending; ranges that touch are joined. */
  get ranges(): readonly Extent[] {
    this.#ranges = [...mergeExtents(this.#ranges)];
    return this.#ranges;
  }

  get bytes(): number {
    return this.ranges.reduce((sum, { length }) => sum + length, 0);
  }

  add(range: Extent): void {
    this.#ranges.push(range);
  }
}

/**
 * Runs `read`. Notes damage if losses are accepted, and throws it otherwise.
 * @returns undefined for lost content
 */
export async function orLost<T>(
  losses: Losses | undefined,
  range: Extent,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (losses === undefined || !isIntegrity(error)) {
      throw error;
    }
    losses.add(range);
    return undefined;
  }
}
