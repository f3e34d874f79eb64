/** How many bytes of packs a collection may still read to rewrite them. */
export class RewriteAllowance {
  #leftBytes: number;

  constructor(bytes: number) {
    this.#leftBytes = bytes;
  }

  /**
   * Charges bytes if enough is left.
   * @param needed how many bytes must be left, if that is not what is charged
   * @returns whether enough was left
   */
  take(charged: number, needed = charged): boolean {
    if (needed > this.#leftBytes) {
      return false;
    }
    this.#leftBytes -= charged;
    return true;
  }

  /** Leaves nothing: nothing more is rewritten. */
  end(): void {
    this.#leftBytes = 0;
  }

  /** Returns an allowance of what is left, for a plan: what it takes is not charged here. */
  forPlan(): RewriteAllowance {
    return new RewriteAllowance(this.#leftBytes);
  }
}
