import { z } from 'zod';
import { pointOf } from '../jobs.ts';
import { ByteCount, TimeMs } from '../references.ts';

/** An export by its id or the beginning of it. */
export const ExportReference = z
  .string()
  .toLowerCase()
  .regex(/^[0-9a-f-]{4,36}$/, 'the id of an export or the beginning of one');

/** Disks of a recovery point that NBD clients on the host of the service can read. */
export const Export = z
  .object({
    id: z.string(),
    /** `ended`: its process is gone, although nobody closed it. */
    state: z.enum(['serving', 'ended']),
    vaultId: z.string(),
    vaultName: z.string(),
    pointId: z.string(),
    vmName: z.string(),
    disks: z.array(
      z.object({
        name: z.string(),
        sizeBytes: ByteCount,
        /** For NBD clients: `nbd+unix:///NAME?socket=PATH`. */
        uri: z.string(),
      }),
    ),
    socketPath: z.string(),
    startedAtMs: TimeMs,
  })
  .meta({ id: 'Export' });
export type Export = z.infer<typeof Export>;

/** 200 of GET /api/v1/exports, oldest first. */
export const ExportList = z.object({ exports: z.array(Export) }).meta({ id: 'ExportList' });
export type ExportList = z.infer<typeof ExportList>;

/** POST /api/v1/exports, answered 201 with the Export. */
export const OpenExport = z
  .strictObject({
    ...pointOf,
    /** Name or id of a disk in the recovery point; default: all of them. */
    disk: z.string().min(1).max(64).optional(),
    /**
     * Whether clients may ask which ranges hold data. False for a QEMU that streams from the disk:
     * it takes what it was not told for zeroes when the export goes away.
     */
    blockStatus: z.boolean().default(true),
  })
  .meta({ id: 'OpenExport' });
export type OpenExport = z.infer<typeof OpenExport>;

export const EXPORT_ROUTES = {
  listExports: { method: 'GET', path: '/exports', scope: 'read', answer: ExportList },
  openExport: {
    method: 'POST',
    path: '/exports',
    scope: 'operate',
    body: OpenExport,
    answer: Export,
  },
  closeExport: {
    method: 'DELETE',
    path: '/exports/:export',
    scope: 'operate',
    answer: Export,
  },
} as const;
