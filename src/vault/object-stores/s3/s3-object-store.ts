import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type ListObjectsV2CommandOutput,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import type { BucketFeatures, ObjectLock } from '../../store/bucket-features.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../../store/object-store.ts';
import { assertListPrefix, isObjectKey } from '../object-key.ts';
import { assertRange } from '../object-range.ts';
import { PageChain, wrongDone, wrongPage, wrongPut } from './answers.ts';
import { isRangeBehindEnd } from './s3-fault.ts';
import { S3BucketFeatures } from './features.ts';
import { decodeName, headerOf, ifObject, S3Requests, unlessStatus } from './requests.ts';

/** Time for a put, besides the time its bytes take over a line this slow. */
const REQUEST_TIMEOUT_MS = 60_000;
const UPLOAD_BYTES_PER_SECOND_MIN = 64 * 1024;

export interface S3Location {
  /** For servers other than AWS. */
  readonly endpoint?: string;
  readonly bucket: string;
  /** Empty, or ends with `/`. */
  readonly prefix: string;
}

/** Objects in a bucket of AWS S3 or of a server that speaks its protocol. */
export class S3ObjectStore extends ObjectStore {
  override readonly location: string;
  override readonly wantsHash = true;
  readonly #requests: S3Requests;
  readonly #endpoint: string;
  readonly #features: S3BucketFeatures;

  /** @param client made by `connectS3`; the store closes it */
  constructor(client: S3Client, { bucket, prefix, endpoint = '' }: S3Location) {
    super();
    this.#requests = new S3Requests(client, { bucket, prefix });
    this.#features = new S3BucketFeatures(this.#requests);
    this.location = this.#requests.location;
    this.#endpoint = endpoint;
  }

  override get identity(): string {
    return `${this.location}@${this.#endpoint}`;
  }

  override get features(): BucketFeatures {
    return this.#features;
  }

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options: PutOptions = {},
  ): Promise<void> {
    const command = new PutObjectCommand({
      ...this.#requests.name(key),
      // The SDK can repeat a Buffer when an attempt fails, but not a stream.
      Body: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
      ContentLength: data.byteLength,
      ...(options.lock === undefined ? {} : lockHeaders(options.lock, data, options.sha256)),
    });
    if (options.sha256 !== undefined) {
      declareHash(command, Buffer.from(options.sha256).toString('hex'));
    }
    const uploadMs = (data.byteLength / UPLOAD_BYTES_PER_SECOND_MIN) * 1000;
    const answer = await this.#requests.attempt(signal, () =>
      this.#requests.client.send(command, {
        abortSignal: signal,
        requestTimeout: REQUEST_TIMEOUT_MS + uploadMs,
      }),
    );
    this.#requests.require(wrongPut(answer));
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const command = new GetObjectCommand(this.#requests.name(key));
    return this.#requests.attempt(signal, async () => {
      const answer = await ifObject(this.#requests.client.send(command, { abortSignal: signal }));
      return answer && this.#requests.wholeOf(key, answer);
    });
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    assertRange(range);
    if (('suffix' in range ? range.suffix : range.length) === 0) {
      // HTTP has no empty range: servers ignore `bytes=5-4` and send everything.
      return this.#emptyPart(key, signal);
    }
    const command = new GetObjectCommand({ ...this.#requests.name(key), Range: headerOf(range) });
    return this.#requests.attempt(signal, async () => {
      try {
        const answer = await ifObject(this.#requests.client.send(command, { abortSignal: signal }));
        return answer && (await this.#requests.partOf(answer, range));
      } catch (error) {
        if (isRangeBehindEnd(error)) {
          return this.#emptyPart(key, signal);
        }
        throw error;
      }
    });
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    assertListPrefix(prefix);
    let previous = '';
    for await (const { name, ...facts } of this.#pages(prefix, signal)) {
      if (name <= previous) {
        throw this.#requests.refusal(
          'does not list objects in ascending order, which a vault relies on.',
        );
      }
      previous = name;
      const key = name.slice(this.#requests.prefix.length);
      if (isObjectKey(key)) {
        yield { key, ...facts };
      }
    }
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const command = new DeleteObjectCommand(this.#requests.name(key));
    const answer = await this.#requests.attempt(signal, () =>
      // Some servers answer 404 where AWS answers 204.
      ifObject(this.#requests.client.send(command, { abortSignal: signal })),
    );
    this.#requests.require(answer === undefined ? '' : wrongDone('a removal', answer));
  }

  override async close(): Promise<void> {
    this.#requests.client.destroy();
  }

  async #emptyPart(key: ObjectKey, signal: AbortSignal): Promise<ObjectPart | undefined> {
    const command = new HeadObjectCommand(this.#requests.name(key));
    const answer = await this.#requests.attempt(signal, () =>
      unlessStatus(404, this.#requests.client.send(command, { abortSignal: signal })),
    );
    if (answer === undefined) {
      // A HEAD has no body, so its 404 could be anybody's.
      const part = await this.getRange(key, { offset: 0, length: 1 }, signal);
      return part && { data: new Uint8Array(0), objectSize: part.objectSize };
    }
    const { ETag: tag, ContentLength: objectSize } = answer;
    if (tag === undefined || objectSize === undefined) {
      throw this.#requests.nonsense('an object has no ETag or no size');
    }
    return { data: new Uint8Array(0), objectSize };
  }

  async *#pages(
    prefix: string,
    signal: AbortSignal,
  ): AsyncIterable<Omit<ObjectEntry, 'key'> & { readonly name: string }> {
    const chain = new PageChain();
    const wanted = this.#requests.prefix + prefix;
    let token: string | undefined;
    do {
      const command: ListObjectsV2Command = new ListObjectsV2Command({
        Bucket: this.#requests.bucket,
        Prefix: wanted,
        // Foreign names may hold characters that XML cannot.
        EncodingType: 'url',
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      const page: ListObjectsV2CommandOutput = await this.#requests.attempt(signal, () =>
        this.#requests.client.send(command, { abortSignal: signal }),
      );
      this.#requests.require(wrongPage(page, wanted));
      const { Contents: entries = [] } = page;
      token = page.NextContinuationToken;
      this.#requests.require(chain.wrong(entries.length, page.IsTruncated, token));
      for (const { Key: key, Size: size, LastModified: stored } of entries) {
        const name = decodeName(key ?? '');
        if (!name.startsWith(wanted) || size === undefined) {
          throw this.#requests.nonsense('a list names what is not of its prefix, or has no size');
        }
        yield { name, size, storedAtMs: stored?.getTime() };
      }
    } while (token !== undefined);
  }
}

/** Adds a checksum that the server compares: AWS accepts a lock only with one. */
function lockHeaders(
  { mode, untilMs }: ObjectLock,
  data: Uint8Array,
  sha256: Uint8Array = createHash('sha256').update(data).digest(),
): Pick<PutObjectCommandInput, 'ObjectLockMode' | 'ObjectLockRetainUntilDate' | 'ChecksumSHA256'> {
  return {
    ObjectLockMode: mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE',
    ObjectLockRetainUntilDate: new Date(untilMs),
    ChecksumSHA256: Buffer.from(sha256).toString('base64'),
  };
}

/**
 * Puts the hash into the signature. The server compares it with the body, and the client need not
 * compute it.
 */
function declareHash(command: PutObjectCommand, sha256Hex: string): void {
  command.middlewareStack.add(
    (next) => (request) => {
      const { headers } = request.request as { headers: Record<string, string> };
      headers['x-amz-content-sha256'] = sha256Hex;
      return next(request);
    },
    { step: 'build', name: 'declareHash' },
  );
}
