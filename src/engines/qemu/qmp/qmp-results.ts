import { z } from 'zod';

const Nothing = z.unknown();

const RunState = z.string().max(64);

const NamedNode = z.object({
  'node-name': z.string(),
  drv: z.string(),
  file: z.string(),
  ro: z.boolean(),
  image: z.object({ filename: z.string(), 'virtual-size': z.number() }),
});

/** Counts of requests: `bins` has one more than there are `boundaries`, which are in ns. */
const LatencyHistogram = z.object({
  boundaries: z.array(z.number()),
  bins: z.array(z.number()),
});
export type LatencyHistogram = z.infer<typeof LatencyHistogram>;

const Job = z.object({
  id: z.string(),
  type: z.string(),
  status: z.string(),
  'current-progress': z.number(),
  'total-progress': z.number(),
  error: z.string().optional(),
});
export type QmpJob = z.infer<typeof Job>;

/** What each command we use answers. A reply of another shape is refused. */
export const QMP_RESULTS = {
  qmp_capabilities: Nothing,
  'query-status': z.object({ status: RunState, running: z.boolean() }),
  'query-version': z.object({
    qemu: z.object({ major: z.number(), minor: z.number(), micro: z.number() }),
  }),
  'query-name': z.object({ name: z.string().optional() }),
  'query-uuid': z.object({ UUID: z.string() }),
  'query-chardev': z.array(
    z.object({ label: z.string(), filename: z.string(), 'frontend-open': z.boolean() }),
  ),
  'query-named-block-nodes': z.array(NamedNode),
  'query-block': z.array(
    z.object({
      device: z.string(),
      qdev: z.string().optional(),
      inserted: z
        .object({
          'node-name': z.string().optional(),
          file: z.string(),
          backing_file_depth: z.number(),
          image: z.object({ 'virtual-size': z.number() }),
        })
        .optional(),
    }),
  ),
  'query-blockstats': z.array(
    z.object({
      qdev: z.string().optional(),
      stats: z.object({
        wr_latency_histogram: LatencyHistogram.optional(),
        flush_latency_histogram: LatencyHistogram.optional(),
      }),
    }),
  ),
  'query-jobs': z.array(Job),
  'query-kvm': z.object({ enabled: z.boolean() }),
  cont: Nothing,
  stop: Nothing,
  quit: Nothing,
  system_powerdown: Nothing,
  'blockdev-add': Nothing,
  'blockdev-del': Nothing,
  'blockdev-reopen': Nothing,
  'blockdev-snapshot': Nothing,
  transaction: Nothing,
  'block-commit': Nothing,
  'block-job-complete': Nothing,
  'job-cancel': Nothing,
  'job-dismiss': Nothing,
  'job-finalize': Nothing,
  'block-latency-histogram-set': Nothing,
  'block-set-write-threshold': Nothing,
  block_resize: Nothing,
  'human-monitor-command': z.string(),
} as const satisfies Record<string, z.ZodType>;

export type QmpCommand = keyof typeof QMP_RESULTS;
export type QmpResult<C extends QmpCommand> = z.infer<(typeof QMP_RESULTS)[C]>;

/** A message that QEMU sends by itself. */
export const QmpEvent = z.object({
  event: z.string().max(128),
  data: z.record(z.string(), z.unknown()).default({}),
  timestamp: z.object({ seconds: z.number(), microseconds: z.number() }),
});
export type QmpEvent = z.infer<typeof QmpEvent>;

export const QmpGreeting = z.object({
  QMP: z.object({
    version: z.object({
      qemu: z.object({ major: z.number(), minor: z.number(), micro: z.number() }),
    }),
  }),
});
export type QmpGreeting = z.infer<typeof QmpGreeting>;

export const QmpReply = z.union([
  z.object({ id: z.number(), return: z.unknown() }),
  z.object({
    id: z.number().optional(),
    error: z.object({ class: z.string().max(256), desc: z.string() }),
  }),
]);
