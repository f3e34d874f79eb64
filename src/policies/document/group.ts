import { z } from 'zod';
import type { GroupRules } from '../../backup/group-backup.service.ts';
import { durationMs } from './duration.ts';

/** Guests are frozen for 30 s at most, whatever a policy says. */
const FREEZE_MS_MAX = 20_000;
const SPREAD_MS_MAX = 60_000;

/** A short time as a person writes it. It is kept as written. */
const shortTime = (limitMs: number) =>
  z
    .string()
    .regex(/^[1-9]\d{0,4}(ms|s)$/, 'a time such as 500ms or 2s')
    .refine((text) => durationMs(text) <= limitMs, `at most ${String(limitMs / 1000)}s`);

/** Makes the VMs of a policy one set per fire time, taken at one moment. */
export const Group = z.strictObject({
  /** How long the guests may take to freeze; all others stay frozen meanwhile. */
  freezeWithin: shortTime(FREEZE_MS_MAX).default('2s'),
  /** How far the snapshots of two VMs may be apart. */
  spread: shortTime(SPREAD_MS_MAX).default('500ms'),
  /** What becomes of a guest that does not freeze in time: it, or the whole group. */
  late: z.enum(['crash-consistent', 'fail']).default('crash-consistent'),
});
type Group = z.infer<typeof Group>;

/** Returns the rules of a group as its backups get them. */
export function groupRules({ freezeWithin, spread, late }: Group): GroupRules {
  return { freezeWithinMs: durationMs(freezeWithin), spreadMs: durationMs(spread), late };
}
