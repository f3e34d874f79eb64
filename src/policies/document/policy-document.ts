import { z } from 'zod';
import { VmName } from '../../vm/definition.ts';
import { Duration } from './duration.ts';
import { Group } from './group.ts';
import { GuestCommands } from './guest-commands.ts';
import { RateFields } from './rate.ts';
import { Schedule } from './schedule.ts';
import { Selector } from './selector.ts';

/** Name of a policy: shown and typed by people. */
const PolicyName = VmName;

/** The name under which a vault is registered. */
export const VaultName = VmName;
const Latency = z.string().regex(/^([1-9]\d?|[1-4]\d\d|500)ms$/, 'a time from 1ms to 500ms');
const Kept = z.int().min(1).max(10_000).optional();

/** How long points are kept. Kept here; who gives points up carries it out. */
const Retention = z
  .strictObject({
    last: Kept,
    hourly: Kept,
    daily: Kept,
    weekly: Kept,
    monthly: Kept,
    yearly: Kept,
    /** Never fewer points of a VM than this. */
    atLeast: Kept,
    /** Nothing younger is given up. */
    minimumAge: Duration.optional(),
  })
  .refine(
    ({ last, hourly, daily, weekly, monthly, yearly }) =>
      [last, hourly, daily, weekly, monthly, yearly].some((kept) => kept !== undefined),
    'keeps nothing; give last, hourly, daily, weekly, monthly or yearly',
  );

/** How often the newest point of each VM is verified. */
const Verification = z.strictObject({
  every: Duration,
  level: z.literal([0, 1, 2, 3]).default(3),
});

/** A copy of the vault that is to have the points: one of those in the care of the vault. */
const Copy = z.strictObject({ vault: VaultName, within: Duration.optional() });

/**
 * What somebody wants to be protected. It comes from a file or over the API and is hostile input:
 * no unknown fields, no text that a shell would read, no secrets.
 */
export const PolicyDocument = z.strictObject({
  name: PolicyName,
  selector: Selector,
  vault: VaultName,
  schedule: Schedule,
  /** `filesystem` asks the guest to flush and freeze its file systems, as a backup does. */
  consistency: z.enum(['filesystem', 'crash']).default('filesystem'),
  limits: z
    .strictObject({
      /** How many VMs of the policy are backed up at once. */
      atOnce: z.int().min(1).max(64).optional(),
      ...RateFields,
      /** A backup reads slower while one in a hundred of the guest's writes takes longer. */
      guestLatency: Latency.optional(),
      /** Also in an emulated guest, whose writes are slow for other reasons. */
      underEmulation: z.boolean().optional(),
    })
    .refine(
      ({ guestLatency, underEmulation }) => underEmulation !== true || guestLatency !== undefined,
      { message: 'says nothing without guestLatency', path: ['underEmulation'] },
    )
    .optional(),
  priority: z.enum(['low', 'normal', 'high']).default('normal'),
  /** How old the newest point of a VM may become. */
  rpo: Duration.optional(),
  /** How long it may take to bring a VM back. */
  rto: Duration.optional(),
  guestCommands: GuestCommands.optional(),
  group: Group.optional(),
  retention: Retention.optional(),
  verification: Verification.optional(),
  copies: z.array(Copy).min(1).max(8).optional(),
});
export type PolicyDocument = z.infer<typeof PolicyDocument>;
