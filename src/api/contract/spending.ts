import { z } from 'zod';
import { ByteCount } from './references.ts';

/** How much a job may use before it stops cleanly; what it did until then stays. */
export const SpendingLimits = z
  .strictObject({
    requests: z.int().positive().optional(),
    /** Sent and received together. */
    bytes: z.int().positive().optional(),
    /** In the currency of the store's prices. */
    cost: z.number().positive().optional(),
  })
  .meta({ id: 'SpendingLimits' });
export type SpendingLimits = z.infer<typeof SpendingLimits>;

const Count = z.int().nonnegative();

export const Traffic = z
  .object({
    puts: Count,
    gets: Count,
    lists: Count,
    removes: Count,
    sentBytes: ByteCount,
    receivedBytes: ByteCount,
  })
  .meta({ id: 'Traffic' });
export type Traffic = z.infer<typeof Traffic>;

/** By list prices; only the bill is binding. */
export const Cost = z
  .object({
    amount: z.number().nonnegative(),
    currency: z.string(),
    /** Name and date of the price list. */
    prices: z.string(),
    asOf: z.string(),
  })
  .meta({ id: 'Cost' });
export type Cost = z.infer<typeof Cost>;

export const StoreSpending = Traffic.extend({
  location: z.string(),
  /** By the first part of the key: `d/`, `s/`. */
  byPrefix: z.record(z.string(), Traffic),
  /** Missing if the prices are not known. */
  cost: Cost.optional(),
}).meta({ id: 'StoreSpending' });
export type StoreSpending = z.infer<typeof StoreSpending>;

/** What a job used at its stores. */
export const SpendingReport = z
  .object({
    requests: Count,
    sentBytes: ByteCount,
    receivedBytes: ByteCount,
    stores: z.array(StoreSpending).readonly(),
  })
  .meta({ id: 'SpendingReport' });
export type SpendingReport = z.infer<typeof SpendingReport>;
