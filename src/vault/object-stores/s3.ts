import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type GetObjectCommandOutput,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { Fault } from '../../kernel/fault.ts';
import {
  ObjectStore,
  type ObjectEntry,
  type ObjectKey,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../object-store.ts';
import { assertListPrefix, assertObjectKey, isObjectKey } from './object-key.ts';
import { assertRange, resolveRange } from './object-range.ts';
import { faultOfS3Error, isNoSuchObject, isRangeBehindEnd } from './s3-fault.ts';

/** A put may take this long, and then as long as its bytes take over a line this slow. */
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
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #endpoint: string;

  /** @param client made by `connectS3`; the store closes it */
  constructor(client: S3Client, { bucket, prefix, endpoint = '' }: S3Location) {
    super();
    this.#client = client;
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.location = `s3://${bucket}/${prefix}`;
    this.#endpoint = endpoint;
  }

  override get identity(): string {
    return `${this.location}@${this.#endpoint}`;
  }

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options: PutOptions = {},
  ): Promise<void> {
    const command = new PutObjectCommand({
      ...this.#name(key),
      // A Buffer is sent again when an attempt fails; a stream would not be.
      Body: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
      ContentLength: data.byteLength,
    });
    if (options.sha256 !== undefined) {
      declareHash(command, Buffer.from(options.sha256).toString('hex'));
    }
    const uploadMs = (data.byteLength / UPLOAD_BYTES_PER_SECOND_MIN) * 1000;
    await this.#attempt(signal, () =>
      this.#client.send(command, {
        abortSignal: signal,
        requestTimeout: REQUEST_TIMEOUT_MS + uploadMs,
      }),
    );
  }

  override async get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const command = new GetObjectCommand(this.#name(key));
    return this.#attempt(signal, async () => {
      const answer = await ifObject(this.#client.send(command, { abortSignal: signal }));
      return answer && this.#readBody(answer);
    });
  }

  override async getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    assertRange(range);
    if (('suffix' in range ? range.suffix : range.length) === 0) {
      // HTTP has no empty range: `bytes=5-4` is ignored and brings everything.
      return this.#emptyPart(key, signal);
    }
    const command = new GetObjectCommand({ ...this.#name(key), Range: headerOf(range) });
    return this.#attempt(signal, async () => {
      try {
        const answer = await ifObject(this.#client.send(command, { abortSignal: signal }));
        return answer && (await this.#partOf(answer, range));
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
    for await (const { name, size } of this.#pages(prefix, signal)) {
      if (name <= previous) {
        throw this.#refusal('does not list objects in ascending order, which a vault relies on.');
      }
      previous = name;
      const key = name.slice(this.#prefix.length);
      if (isObjectKey(key)) {
        yield { key, size };
      }
    }
  }

  override async remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const command = new DeleteObjectCommand(this.#name(key));
    await this.#attempt(signal, () =>
      // Some servers answer 404 where AWS answers 204.
      ifObject(this.#client.send(command, { abortSignal: signal })),
    );
  }

  override async close(): Promise<void> {
    this.#client.destroy();
  }

  #name(key: ObjectKey): { Bucket: string; Key: string } {
    assertObjectKey(key);
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }

  #refusal(what: string): Fault {
    const { location } = this;
    return new Fault('store.refused', `${location} ${what}`, { location });
  }

  async #attempt<Result>(signal: AbortSignal, operation: () => Promise<Result>): Promise<Result> {
    signal.throwIfAborted();
    try {
      return await operation();
    } catch (error) {
      signal.throwIfAborted();
      throw faultOfS3Error(error, this.location);
    }
  }

  async #emptyPart(key: ObjectKey, signal: AbortSignal): Promise<ObjectPart | undefined> {
    const command = new HeadObjectCommand(this.#name(key));
    return this.#attempt(signal, async () => {
      const answer = await ifObject(this.#client.send(command, { abortSignal: signal }));
      return answer && { data: new Uint8Array(0), objectSize: answer.ContentLength ?? 0 };
    });
  }

  async #partOf(answer: GetObjectCommandOutput, range: ObjectRange): Promise<ObjectPart> {
    const data = await this.#readBody(answer);
    const sent = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.ContentRange ?? '');
    if (sent === null) {
      // The server ignored the range.
      const { start, end } = resolveRange(range, data.length);
      return { data: data.subarray(start, end), objectSize: data.length };
    }
    const objectSize = Number(sent[2]);
    const { start, end } = resolveRange(range, objectSize);
    if (Number(sent[1]) !== start || data.length !== end - start) {
      throw this.#refusal('answers with other bytes than it was asked for.');
    }
    return { data, objectSize };
  }

  async #readBody({
    Body: body,
    ContentLength: size,
  }: GetObjectCommandOutput): Promise<Uint8Array> {
    // In Node the body is always a Readable. It is read to its end or destroyed, never left alone:
    // an unread body keeps its connection for ever.
    const source = body as Readable | undefined;
    const pieces: Buffer[] = [];
    for await (const piece of source ?? []) {
      pieces.push(piece as Buffer);
    }
    const data = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
    if (size !== undefined && data.length !== size) {
      const { location } = this;
      throw new Fault('store.unreachable', `${location} sent part of an object.`, { location });
    }
    return data;
  }

  async *#pages(
    prefix: string,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly name: string; readonly size: number }> {
    let token: string | undefined;
    do {
      const command: ListObjectsV2Command = new ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix: this.#prefix + prefix,
        // Foreign names may hold what XML cannot.
        EncodingType: 'url',
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      const page: ListObjectsV2CommandOutput = await this.#attempt(signal, () =>
        this.#client.send(command, { abortSignal: signal }),
      );
      for (const { Key: name, Size: size } of page.Contents ?? []) {
        if (name !== undefined && size !== undefined) {
          yield { name: decodeName(name), size };
        }
      }
      token = page.NextContinuationToken;
      if (page.IsTruncated === true && token === undefined) {
        throw this.#refusal('cut a list short without saying how to go on.');
      }
    } while (token !== undefined);
  }
}

/**
 * Puts the hash into the signature. The server compares it with what arrives, and the client need
 * not compute it.
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

function headerOf(range: ObjectRange): string {
  return 'suffix' in range
    ? `bytes=-${range.suffix}`
    : `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

/** `undefined` in place of the error that says that there is no such object. */
async function ifObject<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isNoSuchObject(error)) {
      return undefined;
    }
    throw error;
  }
}

/** A name that is not encoded properly is none of ours; it stays as it is and is skipped. */
function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
