import { z } from 'zod';
import { VmHost } from './vms.ts';

/** A host by its id, the beginning of it, or its name. */
export const HostReference = z.string().min(1).max(300);

const Host = VmHost.extend({
  /** Of Hyperkeep, when it was last seen. */
  version: z.string(),
  vms: z.array(z.object({ id: z.string(), name: z.string(), tags: z.array(z.string()) })),
  /** VMs that it had once, and that are remembered with their tags. */
  goneVms: z.int().nonnegative(),
}).meta({ id: 'Host' });
export type Host = z.infer<typeof Host>;

/** 200 of GET /api/v1/hosts, by name. */
export const HostList = z.object({ hosts: z.array(Host) }).meta({ id: 'HostList' });
export type HostList = z.infer<typeof HostList>;

/** POST /api/v1/hosts/:host/forget */
export const ForgetHost = z
  .strictObject({
    /** Only returns what would be forgotten. */
    dryRun: z.boolean().default(false),
  })
  .meta({ id: 'ForgetHost' });
export type ForgetHost = z.infer<typeof ForgetHost>;

/** 200 of POST /api/v1/hosts/:host/forget */
export const HostForgotten = z
  .object({ dryRun: z.boolean(), host: Host })
  .meta({ id: 'HostForgotten' });
export type HostForgotten = z.infer<typeof HostForgotten>;
