import { z } from 'zod';
import { PointId, TimeMs, VaultId } from './references.ts';
import { ReadingList } from './upkeep.ts';

/** As vaults have them: whoever wrote the vault chose it. */
const VmId = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$/, 'the id of a VM');

/** 200 of GET /api/v1/collector */
export const CollectorStatus = z
  .object({
    /** What it keeps whatever it is asked to give up. */
    floors: z.object({
      points: z.int(),
      youngMs: z.int(),
      /** Of a VM's points, in 24 hours. */
      dailyShare: z.number(),
    }),
    /** The last look at each vault since the start. */
    looks: z.array(
      z.object({
        vaultId: VaultId,
        atMs: TimeMs,
        /** Points that stood before it. */
        points: z.int(),
        givenUp: z.array(z.object({ vmId: VmId, pointId: PointId, service: z.string() })),
        /** How many decisions were not carried out, by reason. */
        refused: z.record(z.string(), z.int()),
        /** VMs of which a point was changed or is gone: nothing of them is given up. */
        vmsInDoubt: z.array(VmId),
        /** Services that showed older decisions than before; they were not acted on. */
        wentBack: z.array(z.string()),
      }),
    ),
  })
  .meta({ id: 'CollectorStatus' });
export type CollectorStatus = z.infer<typeof CollectorStatus>;

/** POST /api/v1/vaults/{vault}/collector-accept */
export const AcceptVm = z.strictObject({ vm: VmId }).meta({ id: 'AcceptVm' });
export type AcceptVm = z.infer<typeof AcceptVm>;

/** How many points are taken as they are, and count as seen for the first time. */
export const VmAccepted = z.object({ points: z.int() }).meta({ id: 'VmAccepted' });
export type VmAccepted = z.infer<typeof VmAccepted>;

/** What is read now, and what a collector does. */
export const COLLECTOR_ROUTES = {
  listReading: {
    method: 'GET',
    path: '/vaults/:vault/reading',
    scope: 'read',
    answer: ReadingList,
  },
  collector: { method: 'GET', path: '/collector', scope: 'read', answer: CollectorStatus },
  acceptVm: {
    method: 'POST',
    path: '/vaults/:vault/collector-accept',
    scope: 'admin',
    body: AcceptVm,
    answer: VmAccepted,
  },
} as const;
