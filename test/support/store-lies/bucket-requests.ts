/** What every bucket is asked. */
export const PLAIN_KINDS = ['list', 'get', 'part', 'head', 'put', 'remove'] as const;
/** The same and what one with versions and locks is asked. */
export const REQUEST_KINDS = [...PLAIN_KINDS, 'versions', 'lock', 'lock-of', 'settings'] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/** A request as a server understands it. */
export interface BucketRequest {
  readonly kind: RequestKind;
  /** Of an object, or the prefix of a list; without the bucket. */
  readonly key: string;
}

export interface BucketAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** What is told in place of the truth. */
export type Liar = (
  request: BucketRequest,
  truth: () => Promise<BucketAnswer>,
) => Promise<BucketAnswer>;

export const honest: Liar = (_request, truth) => truth();

export function requestOf(method: string, url: URL, range: string | undefined): BucketRequest {
  const { searchParams: parameters } = url;
  const prefix = parameters.get('prefix');
  if (method === 'GET' && (parameters.has('versions') || prefix !== null)) {
    return { kind: parameters.has('versions') ? 'versions' : 'list', key: prefix ?? '' };
  }
  const key = decodeURIComponent(url.pathname.replace(/^\/[^/]+\/?/, ''));
  if (parameters.has('retention')) {
    return { kind: method === 'PUT' ? 'lock' : 'lock-of', key };
  }
  if (parameters.has('versioning') || parameters.has('object-lock')) {
    return { kind: 'settings', key };
  }
  const reads = range === undefined ? 'get' : 'part';
  const kinds: Record<string, RequestKind> = { PUT: 'put', DELETE: 'remove', HEAD: 'head' };
  return { kind: kinds[method] ?? reads, key };
}
