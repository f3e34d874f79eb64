import { z } from 'zod';
import { GROUP_MEMBERS_MAX, ORIGIN_CHARACTERS_MAX } from './limits.ts';

const originText = z.string().max(ORIGIN_CHARACTERS_MAX);

/**
 * Where a recovery point comes from: docs/vault-format.md, section 8. In the point it is
 * authenticated; rows that say the same are copies of it.
 */
export const PointOrigin = z.object({
  // A later program may add words. A point of a person is kept the longest.
  kind: z.enum(['policy', 'hand', 'safety', 'import', 'group']).catch('hand'),
  /** The service that took it; none if no service did. */
  service: originText.optional(),
  /** Name of the policy: its id is another one in a new database. */
  policy: originText.optional(),
  revision: z.int().min(0).optional(),
  /** The run whose result it is. */
  run: originText.optional(),
  /** When the run was due. */
  fireAtMs: z.int().min(0).optional(),
  /** From 1. */
  attempt: z.int().min(1).optional(),
  /** The set of points of one moment that it belongs to. */
  group: originText.optional(),
  /** Ids of the VMs of the set: it is complete where each of them has a point of it. */
  members: z.array(originText).max(GROUP_MEMBERS_MAX).optional(),
  /** Who asked for it. */
  actor: originText.optional(),
});
export type PointOrigin = z.infer<typeof PointOrigin>;
