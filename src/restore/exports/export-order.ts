import { z } from 'zod';

const Credentials = z.union([
  z.strictObject({ profile: z.string() }),
  z.strictObject({
    accessKeyId: z.string(),
    secretAccessKey: z.string(),
    sessionToken: z.string().exactOptional(),
  }),
]);

/**
 * What the process of an export is told on its standard input: it has the secrets of the vault, so
 * it is written nowhere.
 */
export const ExportOrder = z.strictObject({
  place: z.strictObject({
    location: z.string(),
    endpoint: z.string().optional(),
    region: z.string().optional(),
    profile: z.string().optional(),
    credentials: Credentials.optional(),
    singleWriter: z.boolean(),
  }),
  /** Master key in Base64. */
  key: z.base64(),
  pointId: z.string(),
  disks: z.array(z.strictObject({ name: z.string(), diskId: z.string() })).min(1),
  /** Whether clients may ask which ranges hold data. */
  blockStatus: z.boolean(),
  cacheFolder: z.string().optional(),
  /** Under which name the point is leased. */
  reader: z.strictObject({ service: z.string(), name: z.string() }),
});
export type ExportOrder = z.infer<typeof ExportOrder>;

/** What it answers, as one line of JSON. */
export const ExportReport = z.discriminatedUnion('said', [
  z.strictObject({ said: z.literal('serving') }),
  z.strictObject({ said: z.literal('failed'), code: z.string(), message: z.string() }),
]);
export type ExportReport = z.infer<typeof ExportReport>;

/** Name of the socket in the folder of an export. */
export const EXPORT_SOCKET = 'nbd.sock';
/** Name of the file with the number of the process. */
export const EXPORT_PID = 'pid';
