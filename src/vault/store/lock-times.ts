/** docs/vault-format.md, section 16. */
export const DAY_MS = 24 * 60 * 60 * 1000;
/** Every object is extended once in this time. */
export const ROUND_DAYS = 30;
/** How long the keeper may fail to run before a lock gets shorter than the policy's days. */
const SLACK_DAYS = 15;

/**
 * Returns until when to lock an object that is put or extended now, so that the policy holds until
 * the next round.
 */
export function lockedUntilMs(nowMs: number, days: number): number {
  return nowMs + (days + ROUND_DAYS + SLACK_DAYS) * DAY_MS;
}
