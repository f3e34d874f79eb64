import { z } from 'zod';
import { PointId, TimeMs, VaultId } from '../references.ts';
import type { Route } from '../route.ts';

const NOTE_CHARACTERS_MAX = 1000;

/** Content of a VM in a vault that looks encrypted. */
export const Suspicion = z
  .object({
    vmId: z.string(),
    vmName: z.string(),
    vaultId: VaultId,
    vaultName: z.string(),
    /** The point with which it was noticed. */
    pointId: PointId,
    atMs: TimeMs,
    /** The first point that deviates. */
    sinceId: PointId,
    /** The last point before that; undefined if there is none. */
    cleanId: PointId.optional(),
    /** What deviates from what is usual for this VM, in words and numbers. */
    signals: z.array(z.string()),
    /** Whether the clean point is held for it. */
    isHeld: z.boolean(),
    /** Why it is not held. */
    holdProblem: z.string().optional(),
    /** When a person answered; undefined while nobody has. */
    clearedAtMs: TimeMs.optional(),
    clearedBy: z.string().optional(),
    note: z.string().optional(),
  })
  .meta({ id: 'Suspicion' });
export type Suspicion = z.infer<typeof Suspicion>;

/** 200 of GET /api/v1/suspicions, the newest first. */
export const SuspicionList = z
  .object({ suspicions: z.array(Suspicion) })
  .meta({ id: 'SuspicionList' });
export type SuspicionList = z.infer<typeof SuspicionList>;

/** POST /api/v1/suspicions/:vm/clear */
export const ClearSuspicion = z
  .strictObject({
    /** What it was, for those who come later. */
    note: z.string().max(NOTE_CHARACTERS_MAX).optional(),
    /** Ends the hold where the vault has a retention key of its own. Stored nowhere. */
    retentionPassphrase: z.string().min(1).max(1024).optional(),
  })
  .meta({ id: 'ClearSuspicion' });
export type ClearSuspicion = z.infer<typeof ClearSuspicion>;

/** 200 of POST /api/v1/suspicions/:vm/clear */
export const SuspicionsCleared = z
  .object({
    cleared: z.array(
      Suspicion.extend({
        /** Why the hold that was made for it stays; undefined if it ended or there was none. */
        holdStays: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'SuspicionsCleared' });
export type SuspicionsCleared = z.infer<typeof SuspicionsCleared>;

export const SUSPICION_ROUTES = {
  listSuspicions: { method: 'GET', path: '/suspicions', scope: 'read', answer: SuspicionList },
  clearSuspicion: {
    method: 'POST',
    path: '/suspicions/:vm/clear',
    scope: 'admin',
    body: ClearSuspicion,
    answer: SuspicionsCleared,
  },
} as const satisfies Readonly<Record<string, Route>>;
