import { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';

/** Prices of an object store, as far as they follow from requests and bytes. */
export interface Prices {
  readonly name: string;
  /** End of the host name of the endpoint; empty for AWS itself, which needs no endpoint. */
  readonly host: string;
  readonly currency: string;
  readonly perThousand: {
    readonly put: number;
    readonly get: number;
    readonly list: number;
    readonly remove: number;
  };
  /** Per 10^9 bytes. */
  readonly perGigabyte: { readonly upload: number; readonly download: number };
  /** Per 10^9 bytes and month. Counts for what is stored, not for a job. */
  readonly storagePerGigabyteMonth: number;
  /** What the figures leave out: free amounts, shortest terms. */
  readonly note?: string;
}

export interface PriceTable {
  /** Month in which the prices were looked up, such as `2026-05`. */
  readonly asOf: string;
  readonly stores: readonly Prices[];
}

const price = z.number().min(0).max(1e6);
const PriceTable = z.strictObject({
  asOf: z.string().regex(/^\d{4}-\d\d$/),
  stores: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(100),
        host: z.string().max(253),
        currency: z.string().regex(/^[A-Z]{3}$/),
        perThousand: z.strictObject({ put: price, get: price, list: price, remove: price }),
        perGigabyte: z.strictObject({ upload: price, download: price }),
        storagePerGigabyteMonth: price,
        note: z.string().max(1000).optional(),
      }),
    )
    .max(1000),
});

/** List prices for downloads to the internet and small amounts. The bill decides. */
export const DEFAULT_PRICES: PriceTable = {
  asOf: '2026-05',
  stores: [
    {
      name: 'Amazon S3 Standard, us-east-1',
      host: '',
      currency: 'USD',
      perThousand: { put: 0.005, get: 0.0004, list: 0.005, remove: 0 },
      perGigabyte: { upload: 0, download: 0.09 },
      storagePerGigabyteMonth: 0.023,
      note: 'Downloads inside the region are free; other regions and classes differ.',
    },
    {
      name: 'Cloudflare R2',
      host: '.r2.cloudflarestorage.com',
      currency: 'USD',
      perThousand: { put: 0.0045, get: 0.00036, list: 0.0045, remove: 0 },
      perGigabyte: { upload: 0, download: 0 },
      storagePerGigabyteMonth: 0.015,
    },
    {
      name: 'Backblaze B2',
      host: '.backblazeb2.com',
      currency: 'USD',
      perThousand: { put: 0, get: 0.0004, list: 0.004, remove: 0 },
      perGigabyte: { upload: 0, download: 0.01 },
      storagePerGigabyteMonth: 0.006,
      note: 'Downloads up to three times of what is stored, and some requests a day, are free.',
    },
    {
      name: 'Wasabi',
      host: '.wasabisys.com',
      currency: 'USD',
      perThousand: { put: 0, get: 0, list: 0, remove: 0 },
      perGigabyte: { upload: 0, download: 0 },
      storagePerGigabyteMonth: 0.0069,
      note: 'Objects are charged for 90 days at least; downloads must not exceed what is stored.',
    },
    {
      name: 'Google Cloud Storage Standard, us',
      host: 'storage.googleapis.com',
      currency: 'USD',
      perThousand: { put: 0.005, get: 0.0004, list: 0.005, remove: 0 },
      perGigabyte: { upload: 0, download: 0.12 },
      storagePerGigabyteMonth: 0.02,
    },
  ],
};

/** @throws Fault `budget.prices-invalid` */
export function parsePrices(text: string, name: string): PriceTable {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(name, 'it is no JSON', error);
  }
  const table = PriceTable.safeParse(json);
  if (!table.success) {
    throw invalid(name, z.prettifyError(table.error).replaceAll('\n', '; '), table.error);
  }
  const { asOf, stores } = table.data;
  return {
    asOf,
    stores: stores.map(({ note, ...store }) => ({
      ...store,
      ...(note === undefined ? {} : { note }),
    })),
  };
}

/**
 * Returns the prices of the store at a place; undefined for a folder and for a store that is not in
 * the table.
 */
export function pricesAt(
  table: PriceTable,
  { location, endpoint }: { readonly location: string; readonly endpoint?: string },
): Prices | undefined {
  if (!location.startsWith('s3://')) {
    return undefined;
  }
  const host = endpoint === undefined ? '' : hostOf(endpoint);
  return table.stores.find((store) =>
    store.host === '' || host === ''
      ? store.host === host || (store.host === '' && host.endsWith('.amazonaws.com'))
      : host === store.host || host.endsWith(dotted(store.host)),
  );
}

function dotted(host: string): string {
  return host.startsWith('.') ? host : `.${host}`;
}

function hostOf(endpoint: string): string {
  return URL.canParse(endpoint) ? new URL(endpoint).hostname.toLowerCase() : endpoint;
}

function invalid(name: string, why: string, cause: unknown): Fault {
  return new Fault(
    'budget.prices-invalid',
    `The price table ${name} cannot be used: ${why}.`,
    { name },
    { cause },
  );
}
