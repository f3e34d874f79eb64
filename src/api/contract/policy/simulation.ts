import { z } from 'zod';
import { PolicyReference } from '../policies.ts';
import { ByteCount, TimeMs } from '../references.ts';
import { Reason } from './retention.ts';

/** GET /api/v1/policy-simulation */
export const SimulationQuery = z
  .strictObject({
    /** Only this one; the figures of vaults are then those of this policy alone. */
    policy: PolicyReference.optional(),
  })
  .meta({ id: 'SimulationQuery' });
export type SimulationQuery = z.infer<typeof SimulationQuery>;

/** 200 of GET /api/v1/policy-simulation: what is there if nothing changes and all goes well. */
export const PolicySimulation = z
  .object({
    atMs: TimeMs,
    policies: z.array(
      z.object({
        policy: z.string(),
        vault: z.string(),
        /** Of the periods. */
        zone: z.string(),
        vms: z.int().nonnegative(),
        /** What each VM has in a year, oldest first, and why. */
        points: z.array(z.object({ takenAtMs: TimeMs, because: z.array(Reason) })),
        /** Of all its VMs in a year; missing while it is too early to say. */
        storedBytes: ByteCount.optional(),
        /** VMs with fewer than seven points. */
        tooEarly: z.array(z.string()),
        /** For what is stored in a year, by the price list of the store. */
        perMonth: z
          .object({ amount: z.number().nonnegative(), currency: z.string(), prices: z.string() })
          .optional(),
      }),
    ),
    vaults: z.array(
      z.object({
        vault: z.string(),
        after: z.array(
          z.object({
            years: z.int().positive(),
            points: z.int().nonnegative(),
            /** They stay for good. */
            retiredObjects: z.int().nonnegative(),
            /** To look at the points once. */
            listRequests: z.int().nonnegative(),
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'PolicySimulation' });
export type PolicySimulation = z.infer<typeof PolicySimulation>;
