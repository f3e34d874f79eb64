import { z } from 'zod';

/** POST /api/v1/catalog/accept */
export const AcceptCatalog = z.strictObject({}).meta({ id: 'AcceptCatalog' });

/** 200 of POST /api/v1/catalog/accept; all 0 if the database knew all runs and nothing changed. */
export const CatalogAccepted = z
  .object({
    /** Points of runs that the database did not know. */
    points: z.int(),
    /** Policies that fire from now on. */
    policies: z.int(),
    /** Runs that were due and are not made up for. */
    skippedRuns: z.int(),
  })
  .meta({ id: 'CatalogAccepted' });
export type CatalogAccepted = z.infer<typeof CatalogAccepted>;
