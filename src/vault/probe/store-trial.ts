import { CHECK_NAMES, CHECKS, type Capabilities, type CheckName } from './capabilities.ts';

const NEEDED_BY = {
  always: 'every vault',
  writers: 'several writers',
  versions: '--lock, --first-version',
  lock: '--lock',
  nobody: '-',
} as const;

/** One thing that was tried, in words. */
export interface TriedCheck {
  readonly check: CheckName;
  readonly title: string;
  readonly verdict: 'yes' | 'no' | 'unknown';
  /** What relies on it. */
  readonly neededFor: string;
  /** What was seen. */
  readonly seen?: string;
}

/** What a store was seen to do, ready to be shown. */
export interface StoreTrial extends Pick<
  Capabilities,
  'atMs' | 'location' | 'clockSkewMs' | 'leftovers'
> {
  readonly checks: readonly TriedCheck[];
}

export function storeTrial(capabilities: Capabilities): StoreTrial {
  const { atMs, location, clockSkewMs, leftovers, findings } = capabilities;
  const checks = CHECK_NAMES.flatMap((check) => {
    const finding = findings[check];
    const { title, neededBy } = CHECKS[check];
    return finding === undefined
      ? []
      : [
          {
            check,
            title,
            verdict: finding.verdict,
            neededFor: NEEDED_BY[neededBy],
            ...(finding.detail === undefined ? {} : { seen: finding.detail }),
          },
        ];
  });
  return {
    atMs,
    location,
    leftovers,
    checks,
    ...(clockSkewMs === undefined ? {} : { clockSkewMs }),
  };
}
