/**
 * When a collection believes that what it was not shown is gone. docs/decisions/0072 gives the
 * reasons for the numbers.
 */
export const ABSENCE = {
  /** How long a machine must have known a vault's points before it removes anything there. */
  recordAgeMs: 24 * 3_600_000,
  /** A larger share of pack bytes that nothing needs and nothing explains is doubtful. */
  unexplainedShareMax: 0.5,
  /** Ids in a message; the details of the fault have all of them. */
  idsShown: 10,
} as const;
