import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { Fault } from '../../../kernel/fault.ts';
import { objectBytesMax, tooLarge } from '../../format/object-limit.ts';
import type { ObjectKey, ObjectPart, ObjectRange } from '../../store/object-store.ts';
import { assertObjectKey } from '../object-key.ts';
import { resolveRange } from '../object-range.ts';
import { faultOfS3Error, hasStatus, isNoSuchObject } from './s3-fault.ts';

/** What all requests to one place in one bucket share. */
export class S3Requests {
  readonly client: S3Client;
  readonly bucket: string;
  /** Empty, or ends with `/`. */
  readonly prefix: string;
  readonly location: string;

  constructor(client: S3Client, { bucket, prefix }: { bucket: string; prefix: string }) {
    this.client = client;
    this.bucket = bucket;
    this.prefix = prefix;
    this.location = `s3://${bucket}/${prefix}`;
  }

  name(key: ObjectKey): { Bucket: string; Key: string } {
    assertObjectKey(key);
    return { Bucket: this.bucket, Key: this.prefix + key };
  }

  /**
   * Fault for an answer without the form of one: it is not believed, and the request is repeated.
   */
  nonsense(what: string): Fault {
    const { location } = this;
    return new Fault(
      'store.nonsense',
      `${location} answers with something that is not S3: ${what}. Look for a proxy or a page of somebody else on the way, and check --endpoint.`,
      { location },
    );
  }

  /** @param wrong what is wrong with an answer; empty if nothing is */
  require(wrong: string): void {
    if (wrong !== '') {
      throw this.nonsense(wrong);
    }
  }

  refusal(what: string): Fault {
    const { location } = this;
    return new Fault('store.refused', `${location} ${what}`, { location });
  }

  async attempt<Result>(signal: AbortSignal, operation: () => Promise<Result>): Promise<Result> {
    signal.throwIfAborted();
    try {
      return await operation();
    } catch (error) {
      signal.throwIfAborted();
      throw faultOfS3Error(error, this.location);
    }
  }

  /**
   * Reads the whole object. @throws Fault `vault.*-corrupt` if it is larger than any of its kind
   */
  async wholeOf(key: ObjectKey, answer: GetObjectCommandOutput): Promise<Uint8Array> {
    const bytesMax = objectBytesMax(key);
    if (answer.$metadata.httpStatusCode !== 200) {
      throw this.#refuseBody(answer, this.nonsense('a part in place of an object'));
    }
    this.#checkObject(answer);
    if ((answer.ContentLength ?? 0) > bytesMax) {
      throw this.#refuseBody(answer, tooLarge(key, answer.ContentLength));
    }
    return this.#readBody(answer, bytesMax, () => tooLarge(key));
  }

  /** Reads the part of an object that was asked for. */
  async partOf(answer: GetObjectCommandOutput, range: ObjectRange): Promise<ObjectPart> {
    this.#checkObject(answer);
    const sent = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.ContentRange ?? '');
    const isPart = answer.$metadata.httpStatusCode === 206 && sent !== null;
    const objectSize = isPart ? Number(sent[3]) : (answer.ContentLength ?? Infinity);
    const { start, end } = resolveRange(range, objectSize);
    // Some servers answer with the whole object if the range covers it.
    const isAsked = isPart
      ? Number(sent[1]) === start && Number(sent[2]) === end - 1
      : start === 0 && end === objectSize;
    const other = (): Fault => this.nonsense('other bytes than it was asked for');
    if (!isAsked) {
      throw this.#refuseBody(answer, other());
    }
    const data = await this.#readBody(answer, end - start, other);
    if (data.length !== end - start) {
      throw other();
    }
    return { data, objectSize };
  }

  #checkObject(answer: GetObjectCommandOutput): void {
    if (answer.ETag === undefined) {
      throw this.#refuseBody(answer, this.nonsense('an object without an ETag'));
    }
  }

  /** Reads the body to its end or destroys it: an unread body keeps its connection for ever. */
  #refuseBody({ Body: body }: GetObjectCommandOutput, fault: Fault): Fault {
    const source = body as Readable | undefined;
    source?.on('error', () => undefined);
    source?.destroy();
    return fault;
  }

  /** Stops as soon as more than `bytesMax` arrive. */
  async #readBody(
    { Body: body, ContentLength: size }: GetObjectCommandOutput,
    bytesMax: number,
    exceeded: () => Fault,
  ): Promise<Uint8Array> {
    // In Node the body is always a Readable; leaving the loop destroys it.
    const source = body as Readable | undefined;
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of source ?? []) {
      pieces.push(piece as Buffer);
      bytes += (piece as Buffer).length;
      if (bytes > bytesMax) {
        throw exceeded();
      }
    }
    const data = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
    if (size !== undefined && data.length !== size) {
      const { location } = this;
      throw new Fault('store.unreachable', `${location} sent part of an object.`, { location });
    }
    return data;
  }
}

/** Returns the Range header for a range. */
export function headerOf(range: ObjectRange): string {
  return 'suffix' in range
    ? `bytes=-${range.suffix}`
    : `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

/** Returns `undefined` for an error that says that there is no such object. */
export async function ifObject<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isNoSuchObject(error)) {
      return undefined;
    }
    throw error;
  }
}

/** Returns `undefined` for an error with this HTTP status. */
export async function unlessStatus<Answer>(
  status: number,
  answer: Promise<Answer>,
): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (hasStatus(error, status)) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Decodes a name. A name that is not encoded properly is foreign; it is returned as it is and
 * skipped later.
 */
export function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
