/** Numbers of packs that a new point refers to and that may have been there before it. */
export class BuiltOn {
  /** Data packs of leaves that were written. */
  readonly data = new Set<number>();
  /** Metadata packs of nodes that the new map refers to unchanged. */
  readonly nodes = new Set<number>();
  /** Metadata packs of the nodes beside those that were written: up to 255 for each. */
  readonly siblings = new Set<number>();
}
