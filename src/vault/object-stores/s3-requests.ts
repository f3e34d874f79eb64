import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { Fault } from '../../kernel/fault.ts';
import type { ObjectKey, ObjectPart, ObjectRange } from '../object-store.ts';
import { assertObjectKey } from './object-key.ts';
import { resolveRange } from './object-range.ts';
import { faultOfS3Error, isNoSuchObject } from './s3-fault.ts';

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

  async partOf(answer: GetObjectCommandOutput, range: ObjectRange): Promise<ObjectPart> {
    const data = await this.readBody(answer);
    const sent = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.ContentRange ?? '');
    if (sent === null) {
      // The server ignored the range.
      const { start, end } = resolveRange(range, data.length);
      return { data: data.subarray(start, end), objectSize: data.length };
    }
    const objectSize = Number(sent[2]);
    const { start, end } = resolveRange(range, objectSize);
    if (Number(sent[1]) !== start || data.length !== end - start) {
      throw this.refusal('answers with other bytes than it was asked for.');
    }
    return { data, objectSize };
  }

  async readBody({ Body: body, ContentLength: size }: GetObjectCommandOutput): Promise<Uint8Array> {
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
}

/** The Range header that asks for it. */
export function headerOf(range: ObjectRange): string {
  return 'suffix' in range
    ? `bytes=-${range.suffix}`
    : `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

/** `undefined` in place of the error that says that there is no such object. */
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

/** A name that is not encoded properly is none of ours; it stays as it is and is skipped. */
export function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
