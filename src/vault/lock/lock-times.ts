/** docs/vault-format.md, section 16. */
export const DAY_MS = 24 * 60 * 60 * 1000;
/** Every object is extended once in this time. */
export const ROUND_DAYS = 30;
/** How long nobody has to run the keeper before a lock is shorter than the window. */
const SLACK_DAYS = 15;

/**
 * Until when an object is locked that is put or extended now: the window is full until the next
 * round.
 */
export function lockedUntilMs(nowMs: number, days: number): number {
  return nowMs + (days + ROUND_DAYS + SLACK_DAYS) * DAY_MS;
}
