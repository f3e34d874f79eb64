import { z } from 'zod';

/** 200 of GET /api/v1/service */
export const ServiceStatus = z
  .object({
    version: z.string(),
    /** Kind of the engine that runs the VMs: `qemu`. */
    engine: z.string(),
    /** What was repaired after the last start; empty if there was nothing to repair. */
    repaired: z.array(z.string()),
  })
  .meta({ id: 'ServiceStatus' });
export type ServiceStatus = z.infer<typeof ServiceStatus>;
