import { z } from 'zod';
import { PolicyReference } from '../policies.ts';
import { PointId, TimeMs } from '../references.ts';

/** One VM of a policy at one fire time. */
const Run = z
  .object({
    id: z.uuid(),
    policy: z.string(),
    vmId: z.string(),
    vmName: z.string(),
    /** Name of the host that takes it. */
    host: z.string().optional(),
    fireAtMs: TimeMs,
    state: z.enum(['due', 'queued', 'running', 'sealed', 'skipped', 'failed']),
    /** Why it was skipped, waits or failed. */
    why: z.string().optional(),
    /** Who asked for it; if nobody did, it was the schedule. */
    actor: z.string().optional(),
    /** Number of the last attempt; 0 before the first. */
    attempt: z.int().nonnegative(),
    /** Of a run that is due: not before. */
    nextTryAtMs: TimeMs.optional(),
    /** Of the last attempt. */
    jobId: z.uuid().optional(),
    /** Why the last attempt failed. */
    fault: z.object({ code: z.string(), message: z.string() }).optional(),
    pointId: PointId.optional(),
    /** How far the verification of its new point is. */
    verification: z
      .object({
        state: z.enum(['due', 'running', 'whole', 'damaged', 'skipped', 'failed']),
        why: z.string().optional(),
      })
      .optional(),
  })
  .meta({ id: 'Run' });
export type Run = z.infer<typeof Run>;

/** Query of GET /api/v1/runs. */
export const RunQuery = z
  .strictObject({
    id: z.uuid().optional(),
    policy: PolicyReference.optional(),
    /** A name or an id. */
    vm: z.string().min(1).max(100).optional(),
    limit: z.coerce.number().int().min(1).max(1000).default(50),
  })
  .meta({ id: 'RunQuery' });
export type RunQuery = z.infer<typeof RunQuery>;

/** 200 of GET /api/v1/runs, newest first. */
export const RunList = z.object({ runs: z.array(Run) }).meta({ id: 'RunList' });
export type RunList = z.infer<typeof RunList>;

/** 202 of POST /api/v1/policies/:policy/run. */
export const PolicyRun = z
  .object({
    /** The runs that were made, one a VM. */
    runs: z.array(Run),
    /** Runs of the other VMs, which had not ended: there are no new ones beside them. */
    open: z.array(Run),
  })
  .meta({ id: 'PolicyRun' });
export type PolicyRun = z.infer<typeof PolicyRun>;
