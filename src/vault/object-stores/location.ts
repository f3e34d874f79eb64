import { dirname, resolve } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import { stat, statfs } from '../../kernel/files/files.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { DirectoryObjectStore } from './folder/directory.ts';
import { faultOfFileError } from './folder/file-fault.ts';
import { PREFIXES } from '../format/object-names.ts';
import { isMissing } from './folder/object-file.ts';
import { assertObjectKey, isObjectKey } from './object-key.ts';
import { RetryingObjectStore, type RetryOptions } from './retrying.ts';
import type { S3Location } from './s3/s3-object-store.ts';
import type { S3Options } from './s3/client.ts';

export interface OpenOptions extends S3Options {
  /**
   * Accepts a folder on a network file system. This is safe only while a single process writes to
   * it: others may not see at once what a put has made durable, and the vault relies on that.
   */
  readonly allowNetworkFileSystem?: boolean;
  readonly retry?: RetryOptions;
  /** Wraps the store inside the layer that repeats requests, so that it sees every attempt. */
  readonly meter?: (store: ObjectStore) => ObjectStore;
}

type Location = { readonly folder: string } | { readonly s3: S3Location };

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;

/** File systems that other machines change, or that cache. See linux/magic.h and statfs(2). */
const NETWORK_FILE_SYSTEMS = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9P'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x5346414f, 'AFS'],
  [0x73757245, 'Coda'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x786f4256, 'VirtualBox shared folder'],
]);

/**
 * Opens the objects at a folder or at `s3://bucket/prefix`. Makes nothing; `makePlace` makes a
 * missing folder. Operations repeat while the store is unreachable.
 * @throws Fault `store.invalid-location` for anything else, and for a folder on a network file
 *   system unless the options allow it
 */
export async function openObjectStore(
  location: string,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<ObjectStore> {
  signal.throwIfAborted();
  const where = parseLocation(location);
  checkEndpoint(options.endpoint);
  const { meter = (store: ObjectStore) => store, retry } = options;
  if ('s3' in where) {
    return new RetryingObjectStore(meter(await openS3(where.s3, options)), retry);
  }
  await checkFolder(where.folder, options.allowNetworkFileSystem ?? false);
  return new RetryingObjectStore(meter(new DirectoryObjectStore(where.folder)), retry);
}

/** Enough for a slow line, and shorter than what people take for a hang. */
const CONTACT: OpenOptions = {
  connectionTimeoutMs: 3000,
  silenceTimeoutMs: 5000,
  attempts: 1,
  retry: { patienceMs: 1500 },
};

/**
 * Sends the store one request, and does not wait long for the answer.
 * @throws Fault `store.unreachable` after some seconds, and whatever a store throws that refuses
 */
export async function contactStore(
  location: string,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<void> {
  const store = await openObjectStore(location, { ...options, ...CONTACT }, signal);
  try {
    for await (const { key } of store.list(PREFIXES.format, signal)) {
      assertObjectKey(key);
      return;
    }
  } finally {
    await store.close();
  }
}

/** Loaded on demand: the S3 client takes a fifth of a second and 20 MB. */
async function openS3(where: S3Location, options: S3Options): Promise<ObjectStore> {
  const [{ S3ObjectStore }, { connectS3 }] = await Promise.all([
    import('./s3/s3-object-store.ts'),
    import('./s3/client.ts'),
  ]);
  const { endpoint } = options;
  const place = { ...where, ...(endpoint === undefined ? {} : { endpoint }) };
  return new S3ObjectStore(await connectS3(options), place);
}

/** @throws Fault `store.invalid-location` */
export function parseLocation(location: string): Location {
  if (location.startsWith('s3://')) {
    const [bucket = '', ...rest] = location.slice('s3://'.length).split('/');
    const prefix = rest.join('/').replace(/\/$/, '');
    if (!BUCKET.test(bucket)) {
      throw invalid(location, 'names no valid bucket; write s3://bucket/prefix');
    }
    if (rest.slice(0, -1).includes('')) {
      throw invalid(location, 'has two slashes in a row; write s3://bucket/prefix');
    }
    if (prefix !== '' && !isObjectKey(prefix)) {
      throw invalid(location, 'has a prefix with other characters than A-Z a-z 0-9 . _ - and /');
    }
    return { s3: { bucket, prefix: prefix === '' ? '' : `${prefix}/` } };
  }
  if (/^s3:/i.test(location)) {
    throw invalid(location, 'is written in another way than s3://bucket/prefix');
  }
  if (location === '' || location.includes('\0') || SCHEME.test(location)) {
    throw invalid(location, 'is neither a folder nor s3://bucket/prefix');
  }
  return { folder: resolve(location) };
}

/** @throws Fault `store.invalid-location` */
export function checkEndpoint(endpoint: string | undefined): void {
  if (endpoint === undefined) {
    return;
  }
  const url = URL.parse(endpoint);
  const shown = JSON.stringify(withoutPassword(endpoint));
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new Fault(
      'store.invalid-location',
      `The endpoint ${shown} is no address. Write http://HOST:PORT or https://HOST:PORT.`,
    );
  }
  if (url.pathname !== '/' || url.search !== '' || url.username !== '' || url.password !== '') {
    throw new Fault(
      'store.invalid-location',
      `The endpoint ${shown} has more in it than the server. Write ${url.origin}; the bucket belongs in the location, as s3://BUCKET/PREFIX, and keys in the profile.`,
    );
  }
}

/** A URL may carry a password. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@');
}

function invalid(location: string, what: string): Fault {
  const shown = withoutPassword(location);
  return new Fault('store.invalid-location', `The location ${JSON.stringify(shown)} ${what}.`, {
    location: shown,
  });
}

async function checkFolder(folder: string, allowNetworkFileSystem: boolean): Promise<void> {
  try {
    const existing = await nearestFolder(folder);
    const kind = NETWORK_FILE_SYSTEMS.get((await statfs(existing)).type >>> 0);
    if (kind !== undefined && !allowNetworkFileSystem) {
      throw invalid(
        folder,
        `is on a network file system (${kind}), where several writers would not see each other's objects in time; use a local folder or S3, or say that there is a single writer`,
      );
    }
  } catch (error) {
    throw faultOfFileError(error, folder);
  }
}

/** Returns the folder, or the closest existing folder above it. */
async function nearestFolder(folder: string): Promise<string> {
  try {
    if ((await stat(folder)).isDirectory()) {
      return folder;
    }
  } catch (error) {
    if (isMissing(error) && dirname(folder) !== folder) {
      return nearestFolder(dirname(folder));
    }
    throw error;
  }
  throw invalid(folder, 'is a file and not a folder');
}
