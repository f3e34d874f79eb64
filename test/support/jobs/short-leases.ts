import type { LeaseTerms } from '../../../src/catalog/jobs/lease-messages.ts';

/** A second where people have a minute. */
export const SHORT_LEASES: LeaseTerms = { leaseMs: 900, renewMs: 150, standstillMs: 60_000 };
