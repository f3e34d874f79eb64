import { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';
import type { LockMode } from '../store/bucket-features.ts';
import { PROBE_DETAIL_CHARACTERS_MAX, PROBE_LOCATION_CHARACTERS_MAX } from '../format/limits.ts';

/**
 * What is tried on a store, in this order, and who needs it. `always`: no vault works without it.
 * `writers`: needed with several writers. `lock` and `versions`: for object lock and for restoring
 * first versions. `nobody`: good to know.
 */
export const CHECKS = {
  'put-get': { title: 'gives back what was put', neededBy: 'always' },
  ranges: { title: 'reads any part of an object', neededBy: 'always' },
  'read-after-put': { title: 'shows an object at once after its put', neededBy: 'writers' },
  'list-after-put': { title: 'lists an object at once after its put', neededBy: 'writers' },
  'list-order': { title: 'lists in order, whole at page borders', neededBy: 'always' },
  remove: { title: 'removes objects', neededBy: 'nobody' },
  'large-object': { title: 'takes an object as large as a pack', neededBy: 'always' },
  'hash-refused': { title: 'refuses content with another SHA-256', neededBy: 'nobody' },
  'if-absent': { title: 'puts only if absent, also in a race', neededBy: 'nobody' },
  versions: { title: 'keeps versions, the first one readable', neededBy: 'versions' },
  'lock-governance': { title: 'governance lock refuses removal', neededBy: 'lock' },
  'lock-compliance': { title: 'compliance lock refuses removal', neededBy: 'lock' },
} as const satisfies Record<
  string,
  { title: string; neededBy: 'always' | 'writers' | 'lock' | 'versions' | 'nobody' }
>;
export type CheckName = keyof typeof CHECKS;
export const CHECK_NAMES = Object.keys(CHECKS) as CheckName[];

const Finding = z.object({
  verdict: z.enum(['yes', 'no', 'unknown']),
  /** What was seen, for people. */
  detail: z.string().max(PROBE_DETAIL_CHARACTERS_MAX).optional(),
});
export type Finding = z.infer<typeof Finding>;

/** What a store was seen to do. Only what is `yes` is relied upon. */
export const Capabilities = z.object({
  atMs: z.int().min(0),
  location: z.string().max(PROBE_LOCATION_CHARACTERS_MAX),
  findings: z.partialRecord(z.enum(CHECK_NAMES), Finding),
  /** Clock of the server minus the clock here. */
  clockSkewMs: z.number().optional(),
  /** Objects of the test that could not be removed, because these credentials may not. */
  leftovers: z.int().min(0),
});
export type Capabilities = z.infer<typeof Capabilities>;

/** Lock times are computed from this machine's clock. */
const SKEW_MS_MAX = 15 * 60_000;

function can({ findings }: Capabilities, check: CheckName): boolean {
  return findings[check]?.verdict === 'yes';
}

/** @throws Fault `vault.store-unfit` if the store lacks something that the vault relies on */
export function refuseUnfit(
  capabilities: Capabilities,
  plan: { readonly singleWriter: boolean; readonly lock?: LockMode },
): void {
  const needed = CHECK_NAMES.filter((check) => {
    const { neededBy } = CHECKS[check];
    return (
      neededBy === 'always' ||
      (neededBy === 'writers' && !plan.singleWriter) ||
      (plan.lock !== undefined && (neededBy === 'versions' || check === `lock-${plan.lock}`))
    );
  });
  const missing = needed.filter((check) => !can(capabilities, check));
  const { location, clockSkewMs = 0 } = capabilities;
  if (missing.length > 0) {
    const what = missing.map((check) => `${CHECKS[check].title} (${saw(capabilities, check)})`);
    const onlyWriters = missing.every((check) => CHECKS[check].neededBy === 'writers');
    throw new Fault(
      'vault.store-unfit',
      `${location} does not do what this vault needs: ${what.join('; ')}. ${onlyWriters ? 'With --single-writer it can be used by one machine.' : 'Use another store.'} Nothing was created.`,
      { location, missing: missing.join(',') },
    );
  }
  if (plan.lock !== undefined && Math.abs(clockSkewMs) > SKEW_MS_MAX) {
    throw new Fault(
      'vault.store-unfit',
      `The clocks of ${location} and of this machine are ${Math.round(Math.abs(clockSkewMs) / 60_000)} minutes apart; locks would end at the wrong time. Set the clock, then repeat. Nothing was created.`,
      { location },
    );
  }
}

function saw({ findings }: Capabilities, check: CheckName): string {
  return findings[check]?.detail ?? findings[check]?.verdict ?? 'not tried';
}
