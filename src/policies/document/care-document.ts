import { z } from 'zod';
import { GiB, KiB, MiB } from '../../kernel/text/bytes.ts';
import { Duration } from './duration.ts';
import { VaultName } from './policy-document.ts';
import { RateFields } from './rate.ts';
import { Schedule } from './schedule.ts';

const UNITS = { KiB, MiB, GiB, TiB: 1024 * GiB };
const Size = z.string().regex(/^[1-9]\d{0,5}(KiB|MiB|GiB|TiB)$/, 'a size such as 50GiB');
const COPIES_MAX = 8;
const SHARE_MAX = 1000;
const LOCATION_MAX = 1024;

/** How much one run may use at the stores before it stops; the next one goes on. */
const Budget = z
  .strictObject({
    requests: z.int().positive().optional(),
    /** Sent and received together. */
    bytes: Size.optional(),
    /** In the currency of the price list. */
    cost: z.number().positive().optional(),
  })
  .optional();

const task = {
  /** When it is due; default: as docs/protection.md says. A run ends when its window does. */
  schedule: Schedule.optional(),
  budget: Budget,
};

/** Another place that has the vault too. */
const CareCopy = z.strictObject({
  name: VaultName,
  location: z
    .string()
    .max(LOCATION_MAX)
    .regex(
      /^(\/|[A-Za-z][A-Za-z0-9+.-]*:\/\/)[^\p{Cc}]*$/u,
      'an absolute folder or s3://bucket/prefix',
    ),
  endpoint: z.url({ protocol: /^https?$/ }).optional(),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/)
    .optional(),
  /** Profile in the AWS settings of the service's user. */
  profile: z
    .string()
    .regex(/^[^\p{Cc}]{1,128}$/u)
    .optional(),
  /** Accepts a network file system or a caching store. */
  singleWriter: z.boolean().default(false),
  /** How old a point may become that the copy does not have. */
  within: Duration.optional(),
  ...task,
  ...RateFields,
  /** Reads back and compares what it sent. */
  readBack: z.boolean().default(false),
  /** Removes from the copy what a prune has removed from the vault. */
  prune: z.boolean().default(true),
});
export type CareCopy = z.output<typeof CareCopy>;

/** What is done for one vault by itself. From a file or over the API: hostile input. */
export const CareDocument = z
  .strictObject({
    vault: VaultName,
    /** What is not done by itself here, because somebody else does it. */
    never: z
      .array(z.enum(['prune', 'scrub', 'keep']))
      .min(1)
      .optional(),
    prune: z.strictObject(task).optional(),
    scrub: z
      .strictObject({
        ...task,
        /** Reads one part of the vault in so many each time. */
        parts: z.int().min(1).max(SHARE_MAX).optional(),
        depth: z.enum(['frames', 'ids']).optional(),
      })
      .optional(),
    keep: z.strictObject(task).optional(),
    copies: z.array(CareCopy).min(1).max(COPIES_MAX).optional(),
  })
  .superRefine(({ never = [], copies = [], ...tasks }, context) => {
    for (const [index, name] of never.entries()) {
      if (tasks[name] !== undefined) {
        const message = `${name} is described too; leave one of both out`;
        context.addIssue({ code: 'custom', path: ['never', index], message });
      }
    }
    for (const [index, { name }] of copies.entries()) {
      if (copies.findIndex((copy) => copy.name === name) < index) {
        const message = `a copy called ${name} stands before it already`;
        context.addIssue({ code: 'custom', path: ['copies', index, 'name'], message });
      }
    }
  });
export type CareDocument = z.output<typeof CareDocument>;

/** Returns the bytes of a size. */
export function bytesOf(size: string): number {
  const unit = size.slice(-'KiB'.length) as keyof typeof UNITS;
  return Number.parseInt(size, 10) * UNITS[unit];
}
