import { z } from 'zod';

/** How long a guest's writes may take while its disks are read. */
export const GuestLatencyLimit = z.strictObject({
  /** Of a hundred writes one may take longer. Beyond half a second nothing is told apart. */
  p99MsMax: z.int().min(1).max(500),
  /** Also holds for an emulated guest, whose writes are slow for other reasons. */
  underEmulation: z.boolean().default(false),
});
export type GuestLatencyLimit = z.output<typeof GuestLatencyLimit>;
