import { z } from 'zod';
import type { JobRun, RunJob } from '../jobs/job.ts';
import { RateLimits } from '../kernel/rates/rate-limits.ts';
import type { RestoreService } from './restore.service.ts';

const point = { vaultId: z.string(), pointId: z.string() };
const rateLimits = RateLimits.optional();
const format = z.enum(['raw', 'qcow2']);

/** What the row of a restore job tells the operation. */
export const RestoreParameters = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('vm'),
    ...point,
    newName: z.string().optional(),
    folder: z.string().optional(),
    format,
    bootFiles: z.strictObject({
      codePath: z.string().exactOptional(),
      kernelPath: z.string().exactOptional(),
      initrdPath: z.string().exactOptional(),
    }),
    add: z.boolean(),
    start: z.boolean(),
    rateLimits,
  }),
  z.strictObject({
    kind: z.literal('disk'),
    ...point,
    disk: z.string().optional(),
    file: z.string(),
    format,
    rateLimits,
  }),
]);
export type RestoreParameters = z.infer<typeof RestoreParameters>;

/** Returns how jobs of the kind `restore` run. The API shows their result as RestoreResult. */
export function restoreJob(restores: Pick<RestoreService, 'restoreVm' | 'restoreDisk'>): RunJob {
  return async (parameters: unknown, run: JobRun) => {
    const request = RestoreParameters.parse(parameters);
    const {
      point: from,
      durationMs,
      ...restored
    } = await (request.kind === 'vm'
      ? restores.restoreVm(request, run)
      : restores.restoreDisk(request, run));
    return {
      kind: 'restore',
      pointId: from.id,
      durationMs: Math.round(durationMs),
      ...restored,
    };
  };
}
