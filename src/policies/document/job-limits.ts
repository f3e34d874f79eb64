import type { BackupParameters } from '../../backup/backup.job.ts';
import { GiB, KiB, MiB } from '../../kernel/text/bytes.ts';
import type { PolicyDocument } from './policy-document.ts';

const UNITS = { KiB, MiB, GiB };

/**
 * Returns what the limits of a policy mean for each of its backups. The windows of `rates` stand
 * before `rate`, which holds at all other times.
 */
export function jobLimits({
  limits = {},
  schedule,
}: Pick<PolicyDocument, 'limits' | 'schedule'>): Pick<
  BackupParameters,
  'rateLimits' | 'guestLatency'
> {
  const { rate, rates = [], guestLatency, underEmulation = false } = limits;
  const always = rate === undefined ? [] : [{ from: '00:00', to: '00:00', rate }];
  const windows = [...rates, ...always].map(({ rate: text, ...window }) => ({
    ...window,
    bytesPerSecond: bytesPerSecond(text),
  }));
  return {
    ...(windows.length > 0 && { rateLimits: { zone: schedule.zone, windows } }),
    ...(guestLatency !== undefined && {
      guestLatency: { p99MsMax: Number.parseInt(guestLatency, 10), underEmulation },
    }),
  };
}

function bytesPerSecond(rate: string): number {
  const unit = rate.slice(-'KiB/s'.length, -'/s'.length) as keyof typeof UNITS;
  return Number.parseInt(rate, 10) * UNITS[unit];
}
