import { z } from 'zod';

/** Days on which a window opens. */
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day such as 22:00');

/** A part of the day, by the wall clock of a zone. */
export const Window = z.strictObject({
  from: TimeOfDay,
  /** The first minute outside. Before or equal to `from`: of the next day. */
  to: TimeOfDay,
  /** On which the window opens; default: every day. */
  days: z.array(z.enum(DAYS)).min(1).max(DAYS.length).optional(),
});
export type Window = z.output<typeof Window>;

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** In the order of Date.getUTCDay. */
const WEEK = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** True if a time of the wall clock lies in the window. */
export function isInWindow(window: Window, wallMs: number): boolean {
  const today = midnightOf(wallMs);
  return [today - DAY_MS, today].some(
    (midnight) =>
      opensOn(window, midnight) &&
      wallMs >= midnight + minutesOf(window.from) &&
      wallMs < closing(window, midnight),
  );
}

/** Returns when the wall clock next shows that the window opens. */
export function nextOpening(window: Window, wallMs: number): number {
  const today = midnightOf(wallMs);
  for (let midnight = today; ; midnight += DAY_MS) {
    const opening = midnight + minutesOf(window.from);
    // At most eight rounds: a window opens on one day of the week at least.
    if (opening > wallMs && opensOn(window, midnight)) {
      return opening;
    }
  }
}

function closing({ from, to }: Window, midnight: number): number {
  return midnight + minutesOf(to) + (to <= from ? DAY_MS : 0);
}

function opensOn({ days }: Window, midnight: number): boolean {
  const day = WEEK[new Date(midnight).getUTCDay()];
  return days === undefined || days.some((each) => each === day);
}

function midnightOf(wallMs: number): number {
  return Math.floor(wallMs / DAY_MS) * DAY_MS;
}

function minutesOf(timeOfDay: string): number {
  const [hours, minutes] = timeOfDay.split(':').map(Number);
  return ((hours ?? 0) * 60 + (minutes ?? 0)) * MINUTE_MS;
}
