import { z } from 'zod';
import type { JobRun, RunJob } from '../jobs/job.ts';
import type { RestoreService } from './restore.service.ts';

/** What the row of a verify job tells the operation. */
export const VerifyParameters = z.strictObject({ vaultId: z.string(), pointId: z.string() });
export type VerifyParameters = z.infer<typeof VerifyParameters>;

/** How jobs of the kind `verify` run. Their result is what the API shows as VerifyResult. */
export function verifyJob(restores: Pick<RestoreService, 'verify'>): RunJob {
  return async (parameters: unknown, run: JobRun) => {
    const report = await restores.verify(VerifyParameters.parse(parameters), run);
    const { pointId, level, packs, frames, chunks, fetchedBytes, durationMs } = report;
    return {
      kind: 'verify',
      pointId,
      level,
      packs,
      frames,
      chunks,
      verifiedBytes: fetchedBytes,
      durationMs: Math.round(durationMs),
      notes:
        level === 3
          ? []
          : [
              'Content was authenticated, but this host cannot compute the chunk ids of the vault to compare them.',
            ],
    };
  };
}
