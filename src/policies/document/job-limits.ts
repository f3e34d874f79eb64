import type { BackupParameters } from '../../backup/backup.job.ts';
import type { PolicyDocument } from './policy-document.ts';
import { rateLimitsOf } from './rate.ts';

/** Returns what the limits of a policy mean for each of its backups. */
export function jobLimits({
  limits = {},
  schedule,
}: Pick<PolicyDocument, 'limits' | 'schedule'>): Pick<
  BackupParameters,
  'rateLimits' | 'guestLatency'
> {
  const { guestLatency, underEmulation = false } = limits;
  const rateLimits = rateLimitsOf(limits, schedule.zone);
  return {
    ...(rateLimits !== undefined && { rateLimits }),
    ...(guestLatency !== undefined && {
      guestLatency: { p99MsMax: Number.parseInt(guestLatency, 10), underEmulation },
    }),
  };
}
