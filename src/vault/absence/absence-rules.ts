/**
 * When a collection takes what it was not shown for gone. All numbers of it, and why these:
 * docs/decisions/0072.
 */
export const ABSENCE = {
  /** So long a machine must have known the points of a vault before it removes anything there. */
  recordAgeMs: 24 * 3_600_000,
  /**
   * Of the bytes of packs: more than this, needed by nothing and explained by nothing, is doubtful.
   */
  unexplainedShareMax: 0.5,
  /** Ids in a message; the details of the fault have all of them. */
  idsShown: 10,
} as const;
