import { z } from 'zod';
import type { JobRun, RunJob, UpkeepKind } from '../jobs/job.ts';
import { RateLimits } from '../kernel/rates/rate-limits.ts';
import type { PointRetention } from './point-retention.ts';
import type { StoreCare } from './store-care.ts';
import type { VaultDestruction } from './vault-destruction.ts';
import type { VaultCopies } from './vault-copies.ts';
import type { VaultProof } from './vault-proof.ts';
import type { VaultSpace } from './vault-space.ts';

const onVault = {
  vaultId: z.string(),
  limits: z.object({
    requests: z.number().optional(),
    bytes: z.number().optional(),
    cost: z.number().optional(),
  }),
};
const Place = z.object({
  location: z.string(),
  endpoint: z.string().optional(),
  region: z.string().optional(),
  profile: z.string().optional(),
  singleWriter: z.boolean(),
});

/** What the rows of jobs that care for vaults tell their operations. */
export const UPKEEP_PARAMETERS = {
  probe: z.strictObject(onVault),
  usage: z.strictObject(onVault),
  'retirement-plan': z.strictObject({ ...onVault, pointIds: z.array(z.string()) }),
  revive: z.strictObject({ ...onVault, prefix: z.string() }),
  prune: z.strictObject({
    ...onVault,
    dryRun: z.boolean(),
    rules: z.object({
      youngMs: z.number().exactOptional(),
      graceMs: z.number().exactOptional(),
      liveShare: z.number().exactOptional(),
      rewriteBytes: z.number().exactOptional(),
      gonePoints: z.array(z.string()).exactOptional(),
      goneObjects: z.array(z.string()).exactOptional(),
      allPointsAreListed: z.boolean().exactOptional(),
    }),
  }),
  scrub: z.strictObject({
    ...onVault,
    budget: z.object({ share: z.number().optional(), bytes: z.number().optional() }).optional(),
    depth: z.enum(['frames', 'ids']),
  }),
  repair: z.strictObject({
    ...onVault,
    dryRun: z.boolean(),
    copy: Place.optional(),
    overwrite: z.boolean(),
  }),
  copy: z.strictObject({
    ...onVault,
    dryRun: z.boolean(),
    to: Place,
    rateLimits: RateLimits.optional(),
    readBack: z.boolean(),
    prune: z.boolean(),
    gonePoints: z.array(z.string()).exactOptional(),
    goneObjects: z.array(z.string()).exactOptional(),
  }),
  keep: z.strictObject({ ...onVault, everything: z.boolean() }),
  destroy: z.strictObject({
    ...onVault,
    dryRun: z.boolean(),
    name: z.string().optional(),
    evenIfUsed: z.boolean(),
  }),
} as const satisfies Record<UpkeepKind, z.ZodType>;
export type UpkeepParameters<Kind extends UpkeepKind> = z.infer<(typeof UPKEEP_PARAMETERS)[Kind]>;

export interface UpkeepServices {
  readonly space: VaultSpace;
  readonly proof: VaultProof;
  readonly copies: VaultCopies;
  readonly store: StoreCare;
  readonly destruction: VaultDestruction;
  readonly retention: PointRetention;
}

/** Returns how jobs that care for vaults run. The API shows their results. */
export function upkeepJobs(services: UpkeepServices): Record<UpkeepKind, RunJob> {
  const { space, proof, copies, store, destruction, retention } = services;
  return {
    probe: runs('probe', async (request, run) => store.probe(request, run)),
    usage: runs('usage', async (request, run) => space.measure(request, run)),
    'retirement-plan': runs('retirement-plan', async (request, run) =>
      retention.plan(request, run),
    ),
    revive: runs('revive', async (request, run) => retention.revive(request, run)),
    prune: runs('prune', async (request, run) => space.prune(request, run)),
    scrub: runs('scrub', async (request, run) => proof.scrub(request, run)),
    repair: runs('repair', async (request, run) => proof.repair(request, run)),
    copy: runs('copy', async (request, run) => copies.copy(request, run)),
    keep: runs('keep', async (request, run) => store.keep(request, run)),
    destroy: runs('destroy', async (request, run) => destruction.destroy(request, run)),
  };
}

function runs<Kind extends UpkeepKind>(
  kind: Kind,
  run: (request: UpkeepParameters<Kind>, job: JobRun) => Promise<object>,
): RunJob {
  return async (parameters, job) =>
    run(UPKEEP_PARAMETERS[kind].parse(parameters) as UpkeepParameters<Kind>, job);
}

/**
 * Returns a key that only one unfinished job can have. The vault itself accepts any number of
 * collections at once, here and elsewhere, but a second one of this service would only repeat the
 * work.
 */
export function upkeepKey(
  kind: UpkeepKind,
  vaultId: string,
  isDryRun: boolean,
): string | undefined {
  const isAlone = kind !== 'usage' && kind !== 'retirement-plan' && kind !== 'revive' && !isDryRun;
  return isAlone ? `${kind} ${vaultId}` : undefined;
}
