import { z } from 'zod';
import { ByteCount, TimeMs, VaultId, VaultReference } from '../references.ts';
import type { Route } from '../route.ts';

/** A copy of a vault, and how far it is behind. */
const CopyState = z.object({
  location: z.string(),
  /** Points that it lacks, as the catalog knows. */
  points: z.int().nonnegative(),
  /** Stored for these points alone, about. */
  bytes: ByteCount,
  /** When the oldest of them was taken; missing if it lacks none. */
  sinceMs: TimeMs.optional(),
  /** How long it has lacked something, in seconds. */
  seconds: z.number().nonnegative(),
  /** How old a point may become that it lacks. */
  withinMs: z.number().positive().optional(),
  isLate: z.boolean(),
  /** When the last run ended that brought it up to date. */
  followedAtMs: TimeMs.optional(),
});

/** One task of the care of a vault at one fire time. */
export const CareRun = z
  .object({
    id: z.uuid(),
    vaultId: VaultId,
    vaultName: z.string(),
    /** `prune`, `scrub`, `keep`, `copy NAME`. */
    task: z.string(),
    /** Name of the host that does it. */
    host: z.string().optional(),
    fireAtMs: TimeMs,
    state: z.enum(['due', 'queued', 'running', 'done', 'skipped', 'failed']),
    /** Why it was skipped, waits, failed or ended early. */
    why: z.string().optional(),
    /** Who asked for it; if nobody did, it was the schedule. */
    actor: z.string().optional(),
    attempt: z.int().nonnegative(),
    /** Of a run that is due: not before. */
    nextTryAtMs: TimeMs.optional(),
    endedAtMs: TimeMs.optional(),
    /** Of the last attempt. */
    jobId: z.uuid().optional(),
    fault: z.object({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: 'CareRun' });
export type CareRun = z.infer<typeof CareRun>;

export const CareTask = z.object({
  vaultId: VaultId,
  vaultName: z.string(),
  task: z.string(),
  /** Nobody wrote about it: it is done as for every vault. */
  isDefault: z.boolean(),
  /** As a policy has it: docs/protection.md. */
  schedule: z.record(z.string(), z.unknown()),
  nextFireAtMs: TimeMs.optional(),
  /** The last that was not skipped. */
  last: CareRun.optional(),
  /** Why it cannot be done now, and since when. */
  trouble: z.object({ text: z.string(), code: z.string().optional(), sinceMs: TimeMs }).optional(),
  copy: CopyState.optional(),
});
export type CareTask = z.infer<typeof CareTask>;

/** Query of GET /api/v1/care. */
export const CareQuery = z.strictObject({ vault: VaultReference.optional() });
export type CareQuery = z.infer<typeof CareQuery>;

/** 200 of GET /api/v1/care, by vault. */
export const CareList = z
  .object({
    atMs: TimeMs,
    tasks: z.array(CareTask),
    /** Vaults of which what is written cannot be read: nothing is done for them. */
    unreadable: z.array(z.object({ vault: z.string(), problem: z.string() })),
  })
  .meta({ id: 'CareList' });
export type CareList = z.infer<typeof CareList>;

/** Query of GET /api/v1/care-runs. */
export const CareRunQuery = z.strictObject({
  vault: VaultReference.optional(),
  task: z.string().min(1).max(100).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(50),
});
export type CareRunQuery = z.infer<typeof CareRunQuery>;

/** 200 of GET /api/v1/care-runs, newest first. */
export const CareRunList = z.object({ runs: z.array(CareRun) }).meta({ id: 'CareRunList' });
export type CareRunList = z.infer<typeof CareRunList>;

/** POST /api/v1/vaults/:vault/care */
export const RunCare = z.strictObject({ task: z.string().min(1).max(100) }).meta({ id: 'RunCare' });
export type RunCare = z.infer<typeof RunCare>;

/** 202 of POST /api/v1/vaults/:vault/care. */
export const CareStarted = z
  .object({
    run: CareRun,
    /** There was one that had not ended, so this is it. */
    isOpen: z.boolean(),
  })
  .meta({ id: 'CareStarted' });
export type CareStarted = z.infer<typeof CareStarted>;

/** 200 of GET /api/v1/vaults/:vault/care, newest first. */
export const CareHistory = z
  .object({
    revisions: z.array(
      z.object({
        number: z.int().positive(),
        change: z.enum(['created', 'changed', 'removed']),
        author: z.string(),
        atMs: TimeMs,
        document: z.record(z.string(), z.unknown()),
        /** Names of the fields that differ from the revision before. */
        fields: z.array(z.string()),
      }),
    ),
  })
  .meta({ id: 'CareHistory' });
export type CareHistory = z.infer<typeof CareHistory>;

export const CARE_ROUTES = {
  listCare: { method: 'GET', path: '/care', scope: 'read', answer: CareList },
  listCareRuns: { method: 'GET', path: '/care-runs', scope: 'read', answer: CareRunList },
  careHistory: {
    method: 'GET',
    path: '/vaults/:vault/care',
    scope: 'read',
    answer: CareHistory,
  },
  runCare: {
    method: 'POST',
    path: '/vaults/:vault/care',
    scope: 'operate',
    body: RunCare,
    answer: CareStarted,
  },
} as const satisfies Readonly<Record<string, Route>>;
