import { z } from 'zod';
import { FailedWith, type JobRun, type RunJob } from '../jobs/job.ts';
import type { Verified, VerifyService } from './verify.service.ts';

/** What the row of a verify job tells the operation. */
export const VerifyParameters = z.strictObject({
  vaultId: z.string(),
  pointId: z.string(),
  level: z.literal([0, 1, 2, 3]),
  /** Of a new point: what it added is read too. */
  added: z.boolean().optional(),
  limits: z.object({
    requests: z.number().optional(),
    bytes: z.number().optional(),
    cost: z.number().optional(),
  }),
});
export type VerifyParameters = z.infer<typeof VerifyParameters>;

/** What a verification leaves out that reached its limit. */
const LEFT_OUT = {
  added: 'What the point added was not read whole',
  whole: 'What the point shares with earlier ones was not looked at whole',
};

/**
 * Returns how jobs of the kinds `verify` and `prove` run. The API shows their result as
 * VerifyResult.
 */
export function verifyJob(verifications: Pick<VerifyService, 'verify'>): RunJob {
  return async (parameters: unknown, run: JobRun) => {
    const verified = await verifications.verify(VerifyParameters.parse(parameters), run);
    const { fault } = verified;
    const result = resultOf(verified);
    if (fault !== undefined) {
      throw new FailedWith(fault, result);
    }
    return result;
  };
}

function resultOf({ report, durationMs, spending }: Verified): object {
  const { pointId, level, packs, frames, chunks, fetchedBytes, problems } = report;
  const { addedLevel } = { addedLevel: undefined, ...report };
  return {
    kind: 'verify',
    pointId,
    ...(level === undefined ? {} : { level }),
    ...(addedLevel === undefined ? {} : { addedLevel }),
    packs,
    frames,
    chunks,
    verifiedBytes: fetchedBytes,
    durationMs: Math.round(durationMs),
    notes: notesOf(report),
    problems,
    spending,
  };
}

function notesOf(report: Verified['report']): string[] {
  const { stoppedBy, stoppedAt } = { stoppedBy: undefined, stoppedAt: undefined, ...report };
  return [
    ...(stoppedBy === undefined
      ? []
      : [
          'Content was authenticated, but this host cannot compute the chunk ids of the vault to compare them.',
        ]),
    ...(stoppedAt === undefined ? [] : [`${LEFT_OUT[stoppedAt]}: the limit was reached.`]),
  ];
}
