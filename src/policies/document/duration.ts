import { z } from 'zod';

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A duration as a person writes it: `90s`, `15m`, `4h`, `2d`, `1w`. It is kept as written. */
export const Duration = z
  .string()
  .regex(/^[1-9]\d{0,4}[smhdw]$/, 'a duration such as 15m, 4h, 2d or 1w');

/** Returns the milliseconds of a `Duration`. */
export function durationMs(text: string): number {
  return Number.parseInt(text, 10) * UNITS[text.slice(-1) as keyof typeof UNITS];
}
