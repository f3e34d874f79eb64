import { z } from 'zod';
import { VmName } from '../../vm/definition.ts';
import { CareTask } from './policy/care.ts';
import { Suspicion } from './policy/suspicions.ts';
import { PointId, TimeMs } from './references.ts';
import { VmHost } from './vms.ts';

/** Name of a policy. */
export const PolicyReference = VmName;

/** A policy as it was written, its defaults filled in. docs/protection.md has every field. */
const PolicyFields = z.record(z.string(), z.unknown());

export const Policy = z
  .object({
    id: z.uuid(),
    name: z.string(),
    /** Number of the newest change. */
    revision: z.int().positive(),
    /** A paused policy starts nothing by itself. */
    paused: z.boolean(),
    vault: z.string(),
    document: PolicyFields,
    /** Names of the VMs that it protects now. */
    vms: z.array(z.string()),
    /** Why this version cannot read it: it then starts nothing, and its runs wait. */
    problem: z.string().optional(),
  })
  .meta({ id: 'Policy' });
export type Policy = z.infer<typeof Policy>;

/** 200 of GET /api/v1/policies, by name. */
export const PolicyList = z.object({ policies: z.array(Policy) }).meta({ id: 'PolicyList' });
export type PolicyList = z.infer<typeof PolicyList>;

const PolicyRevision = z
  .object({
    policyId: z.uuid(),
    number: z.int().positive(),
    change: z.enum(['created', 'changed', 'paused', 'resumed', 'removed']),
    /** The name of a token, `local` for the socket of the home. */
    author: z.string(),
    atMs: TimeMs,
    document: PolicyFields,
    /** What differs from the revision before. */
    fields: z.array(
      z.object({
        field: z.string(),
        before: z.unknown().optional(),
        after: z.unknown().optional(),
      }),
    ),
  })
  .meta({ id: 'PolicyRevision' });

/** 200 of GET /api/v1/policies/:policy/revisions, newest first. */
export const PolicyHistory = z
  .object({ revisions: z.array(PolicyRevision) })
  .meta({ id: 'PolicyHistory' });
export type PolicyHistory = z.infer<typeof PolicyHistory>;

const text = {
  /** YAML: documents that are a policy each, or have a list `policies`. */
  text: z.string().max(1024 * 1024),
  /** How messages call the text: the name of its file. */
  source: z.string().max(1024).default('policies'),
  /** Removes the policies that the text does not have. */
  prune: z.boolean().default(false),
};

/** POST /api/v1/policy-text/plan: changes nothing. */
export const PlanPolicies = z.strictObject(text).meta({ id: 'PlanPolicies' });
export type PlanPolicies = z.infer<typeof PlanPolicies>;

/** POST /api/v1/policy-text: all of it in one transaction, or nothing. */
export const ApplyPolicies = z
  .strictObject({
    ...text,
    /** Refuses every plan but this one. */
    plan: z
      .string()
      .regex(/^[0-9a-f]{16}$/, 'the id of a plan')
      .optional(),
    /** Accepts more objects a year than a vault can bear for long. */
    yes: z.boolean().default(false),
  })
  .meta({ id: 'ApplyPolicies' });
export type ApplyPolicies = z.infer<typeof ApplyPolicies>;

const PlannedPolicy = z.object({
  name: z.string(),
  /** `left`: in force, not in the text, and kept, because nobody asked to prune. */
  action: z.enum(['create', 'change', 'remove', 'none', 'left']),
  fields: PolicyRevision.shape.fields,
  vms: z.array(z.string()),
  /** VMs that it begins and ceases to protect. */
  added: z.array(z.string()),
  dropped: z.array(z.string()),
  guestCommands: z.array(z.array(z.string())),
});

export const PolicyPlan = z
  .object({
    id: z.string(),
    policies: z.array(PlannedPolicy),
    /** VMs that no policy protects afterwards. */
    unprotected: z.array(z.string()),
    /** What the vaults hold after some years, if every backup succeeds. */
    vaults: z.array(
      z.object({
        vault: z.string(),
        pointsPerYear: z.int(),
        permanentObjectsPerYear: z.int(),
        after: z.array(
          z.object({
            years: z.int(),
            points: z.int(),
            retiredObjects: z.int(),
            listRequests: z.int(),
          }),
        ),
      }),
    ),
    /** Points that policies would give up and keep now; missing in the answer to an application. */
    givesUp: z
      .array(
        z.object({
          policy: z.string(),
          points: z.int(),
          /** Of them, those that would still be kept in a week: then the revision waits. */
          early: z.int(),
        }),
      )
      .optional(),
    /** What happens to what is written about the care of vaults. */
    care: z.array(PlannedPolicy.pick({ action: true, fields: true }).extend({ vault: z.string() })),
  })
  .meta({ id: 'PolicyPlan' });
export type PolicyPlan = z.infer<typeof PolicyPlan>;

/** GET /api/v1/policy-text?policy=NAME */
export const PolicyTextQuery = z
  .strictObject({ policy: PolicyReference.optional() })
  .meta({ id: 'PolicyTextQuery' });
export type PolicyTextQuery = z.infer<typeof PolicyTextQuery>;

/** 200 of GET /api/v1/policy-text: applied again it changes nothing. */
export const PolicyText = z.object({ text: z.string() }).meta({ id: 'PolicyText' });
export type PolicyText = z.infer<typeof PolicyText>;

/** POST /api/v1/policies/:policy/pause, /resume and /run */
export const PolicyAction = z.strictObject({}).meta({ id: 'PolicyAction' });

const StateByPolicy = z.enum(['ok', 'late', 'no-point', 'paused']);

const VmProtection = z
  .object({
    vmId: z.string(),
    vmName: z.string(),
    /** The worst of its policies; a paused one counts only if all are. `late` if its host is. */
    state: z.enum([...StateByPolicy.options, 'unprotected']),
    /** It alone takes the VM's points: while it is late, the runs of its VMs wait. */
    host: VmHost,
    by: z.array(
      z.object({
        policy: z.string(),
        vault: z.string(),
        state: StateByPolicy,
        newest: z.object({ pointId: PointId, takenAtMs: TimeMs }).optional(),
        /** When the newest point becomes, or became, older than it may be. */
        lateAtMs: TimeMs.optional(),
        nextFireAtMs: TimeMs.optional(),
        problem: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'VmProtection' });
export type VmProtection = z.infer<typeof VmProtection>;

const RetentionState = z.object({
  vault: z.string(),
  atMs: TimeMs,
  /** Points to be given up that are still there. */
  due: z.int(),
  /** Why this service does not give them up; missing if it does. */
  notHere: z.string().optional(),
  /** Revisions that wait for a person. */
  waiting: z.array(z.object({ policy: z.string(), revision: z.int(), points: z.int() })),
  /** Why nothing was decided. */
  problem: z.string().optional(),
});
export type RetentionState = z.infer<typeof RetentionState>;

/** 200 of GET /api/v1/protection: every VM, by name. */
export const ProtectionStatus = z
  .object({
    atMs: TimeMs,
    /**
     * Whether all VMs are `ok`, none is suspected and no point damaged, policies can be read,
     * schedules fire, no copy is late, and what somebody wrote about the care of vaults is done.
     */
    ok: z.boolean(),
    /** Id of this service: in the origin of its points, and where its records lie. */
    service: z.string(),
    /** Names of vaults whose points whoever takes this host can give up: it has their keys. */
    givenUpFromHere: z.array(z.string()),
    vms: z.array(VmProtection),
    /** The vaults have points of runs that the database does not know: no schedule fires. */
    unknownRuns: z.object({ points: z.int(), newestFireAtMs: TimeMs }).optional(),
    /** What waits at the last decision about the points of each vault. */
    retention: z.array(RetentionState),
    /** Policies that protect nothing now, because this version cannot read them. */
    unreadable: z.array(z.object({ policy: z.string(), problem: z.string() })),
    /** Content that looks encrypted and that nobody has answered for. */
    suspicions: z.array(Suspicion),
    /** Points that a verification found damaged, and those that wait for one for over an hour. */
    verification: z.object({
      damaged: z.array(
        z.object({
          vault: z.string(),
          vmId: z.string(),
          vmName: z.string(),
          pointId: z.string(),
          atMs: TimeMs,
        }),
      ),
      waiting: z.array(
        z.object({
          vault: z.string(),
          count: z.int(),
          oldestMs: TimeMs,
          why: z.string().optional(),
        }),
      ),
    }),
    /** Copies of vaults, and how far each is behind. */
    copies: z.array(CareTask.shape.copy.unwrap().extend({ vault: z.string(), copy: z.string() })),
    /** What is not done for vaults, why, and since when. */
    care: z.array(
      z.object({
        vault: z.string(),
        task: z.string(),
        text: z.string(),
        code: z.string().optional(),
        sinceMs: TimeMs,
      }),
    ),
    /** Vaults that cannot be used now. `ok` leaves them out: VMs become late if that lasts. */
    troubles: z.array(z.object({ vault: z.string(), problem: z.string() })),
  })
  .meta({ id: 'ProtectionStatus' });
export type ProtectionStatus = z.infer<typeof ProtectionStatus>;
