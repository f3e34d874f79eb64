import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  type ListObjectsV2CommandOutput,
  type ListObjectVersionsCommandOutput,
} from '@aws-sdk/client-s3';
import { isFault } from '../../../kernel/fault.ts';
import {
  BucketFeatures,
  type ObjectLock,
  type ObjectVersion,
} from '../../store/bucket-features.ts';
import type { ObjectKey, ObjectPart, ObjectRange } from '../../store/object-store.ts';
import { isObjectKey } from '../object-key.ts';
import { PageChain, wrongDone, wrongPage, wrongPut } from './answers.ts';
import { hasStatus, isNotFound, isRangeBehindEnd } from './s3-fault.ts';
import { decodeName, headerOf, ifObject, type S3Requests } from './requests.ts';

interface VersionName {
  readonly key: ObjectKey;
  readonly versionId: string;
}

/** Versions, locks and conditions of a bucket that speaks the protocol of AWS S3. */
export class S3BucketFeatures extends BucketFeatures {
  readonly #requests: S3Requests;

  constructor(requests: S3Requests) {
    super();
    this.#requests = requests;
  }

  override async *listVersions(prefix: string, signal: AbortSignal): AsyncIterable<ObjectVersion> {
    const { bucket, client, prefix: place } = this.#requests;
    const chain = new PageChain();
    let page: ListObjectVersionsCommandOutput | undefined;
    let lastKey = '';
    do {
      const command: ListObjectVersionsCommand = new ListObjectVersionsCommand({
        Bucket: bucket,
        Prefix: place + prefix,
        EncodingType: 'url',
        KeyMarker: page?.NextKeyMarker === undefined ? undefined : decodeName(page.NextKeyMarker),
        VersionIdMarker: page?.NextVersionIdMarker,
      });
      page = await this.#requests.attempt(signal, () =>
        client.send(command, { abortSignal: signal }),
      );
      this.#requests.require(wrongPage(page, place + prefix) || chain.wrong(...versionsPage(page)));
      const keys = namesIn(page);
      if ((keys[0] ?? lastKey) < lastKey || !keys.every((key) => key.startsWith(place + prefix))) {
        throw this.#requests.nonsense('a list of versions goes back, or out of its prefix');
      }
      lastKey = keys.at(-1) ?? lastKey;
      yield* this.#versionsOf(page);
    } while (page.IsTruncated === true);
  }

  override async getVersion(
    { key, versionId }: VersionName,
    range: ObjectRange | undefined,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    const command = new GetObjectCommand({
      ...this.#requests.name(key),
      VersionId: versionId,
      ...(range === undefined ? {} : { Range: headerOf(range) }),
    });
    return this.#requests.attempt(signal, async () => {
      try {
        const answer = await ifObject(this.#requests.client.send(command, { abortSignal: signal }));
        if (answer !== undefined && range === undefined) {
          const data = await this.#requests.wholeOf(key, answer);
          return { data, objectSize: data.length };
        }
        return answer && range && (await this.#requests.partOf(answer, range));
      } catch (error) {
        if (range !== undefined && isRangeBehindEnd(error)) {
          const whole = await this.getVersion({ key, versionId }, undefined, signal);
          return whole && { data: new Uint8Array(0), objectSize: whole.objectSize };
        }
        throw error;
      }
    });
  }

  override async removeVersion(
    { key, versionId }: VersionName,
    { bypass }: { readonly bypass: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const command = new DeleteObjectCommand({
      ...this.#requests.name(key),
      VersionId: versionId,
      ...(bypass ? { BypassGovernanceRetention: true } : {}),
    });
    const answer = await this.#send(signal, () =>
      ifObject(this.#requests.client.send(command, { abortSignal: signal })),
    );
    this.#requests.require(answer === undefined ? '' : wrongDone('a removal', answer));
  }

  override async versioning(signal: AbortSignal): Promise<'enabled' | 'suspended' | 'off'> {
    const command = new GetBucketVersioningCommand({ Bucket: this.#requests.bucket });
    const { Status: status } = await this.#send(signal, () =>
      this.#requests.client.send(command, { abortSignal: signal }),
    );
    return status === 'Enabled' ? 'enabled' : status === 'Suspended' ? 'suspended' : 'off';
  }

  override async lockEnabled(signal: AbortSignal): Promise<boolean> {
    const command = new GetObjectLockConfigurationCommand({ Bucket: this.#requests.bucket });
    const answer = await this.#send(signal, () =>
      unlessMissing(this.#requests.client.send(command, { abortSignal: signal })),
    );
    return answer?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled';
  }

  override async lockOf(
    { key, versionId }: { readonly key: ObjectKey; readonly versionId?: string },
    signal: AbortSignal,
  ): Promise<ObjectLock | undefined> {
    const command = new GetObjectRetentionCommand({
      ...this.#requests.name(key),
      ...(versionId === undefined ? {} : { VersionId: versionId }),
    });
    const answer = await this.#requests.attempt(signal, async () => {
      try {
        return await unlessMissing(this.#requests.client.send(command, { abortSignal: signal }));
      } catch (error) {
        // Some servers say 400 for an object without a lock.
        if (hasStatus(error, 400)) {
          return undefined;
        }
        throw error;
      }
    });
    if (answer === undefined) {
      return undefined;
    }
    const { Mode: mode, RetainUntilDate: until } = answer.Retention ?? {};
    if (mode === undefined || until === undefined) {
      throw this.#requests.nonsense('a lock has no mode or no end');
    }
    return {
      mode: mode === 'COMPLIANCE' ? 'compliance' : 'governance',
      untilMs: until.getTime(),
    };
  }

  override async setLock(
    { key, versionId }: { readonly key: ObjectKey; readonly versionId?: string },
    { mode, untilMs }: ObjectLock,
    signal: AbortSignal,
  ): Promise<void> {
    const command = new PutObjectRetentionCommand({
      ...this.#requests.name(key),
      ...(versionId === undefined ? {} : { VersionId: versionId }),
      Retention: {
        Mode: mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE',
        RetainUntilDate: new Date(untilMs),
      },
    });
    const answer = await this.#send(signal, () =>
      this.#requests.client.send(command, { abortSignal: signal }),
    );
    this.#requests.require(wrongDone('a lock', answer));
  }

  override async putIfAbsent(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
  ): Promise<boolean> {
    const command = new PutObjectCommand({
      ...this.#requests.name(key),
      Body: data,
      ContentLength: data.length,
      IfNoneMatch: '*',
    });
    return this.#requests.attempt(signal, async () => {
      try {
        const answer = await this.#requests.client.send(command, { abortSignal: signal });
        this.#requests.require(wrongPut(answer));
        return true;
      } catch (error) {
        // 409: the server noticed the other put while this one was writing.
        if (hasStatus(error, 412) || hasStatus(error, 409)) {
          return false;
        }
        throw error;
      }
    });
  }

  override async *listInPages(
    prefix: string,
    pageKeys: number,
    signal: AbortSignal,
  ): AsyncIterable<ObjectKey> {
    const { bucket, client, prefix: place } = this.#requests;
    const chain = new PageChain();
    let page: ListObjectsV2CommandOutput | undefined;
    do {
      const command: ListObjectsV2Command = new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: place + prefix,
        MaxKeys: pageKeys,
        ContinuationToken: page?.NextContinuationToken,
      });
      page = await this.#send(signal, () => client.send(command, { abortSignal: signal }));
      this.#requests.require(wrongPage(page, place + prefix));
      const { Contents: entries = [], IsTruncated, NextContinuationToken: next } = page;
      this.#requests.require(chain.wrong(entries.length, IsTruncated, next));
      for (const { Key: name } of entries) {
        yield (name ?? '').slice(place.length);
      }
    } while (page.NextContinuationToken !== undefined);
  }

  override async serverTimeMs(signal: AbortSignal): Promise<number | undefined> {
    const command = new HeadBucketCommand({ Bucket: this.#requests.bucket });
    let date: string | undefined;
    command.middlewareStack.add(
      (next) => async (request) => {
        const answer = await next(request);
        date = (answer.response as { headers?: Record<string, string> }).headers?.['date'];
        return answer;
      },
      { step: 'deserialize', name: 'readDate' },
    );
    try {
      await this.#send(signal, () => this.#requests.client.send(command, { abortSignal: signal }));
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      // Only the date counts, and a refusal has one too.
    }
    const timeMs = Date.parse(date ?? '');
    return Number.isNaN(timeMs) ? undefined : timeMs;
  }

  async #send<Result>(signal: AbortSignal, operation: () => Promise<Result>): Promise<Result> {
    return this.#requests.attempt(signal, operation);
  }

  /**
   * Returns the entries of one page in the order of keys: the versions of a key, then its delete
   * markers.
   */
  #versionsOf({ Versions, DeleteMarkers }: ListObjectVersionsCommandOutput): ObjectVersion[] {
    const both = [
      ...(Versions ?? []).map((version) => ({ ...version, isDeleteMarker: false })),
      ...(DeleteMarkers ?? []).map((marker) => ({ ...marker, Size: 0, isDeleteMarker: true })),
    ];
    const found: ObjectVersion[] = [];
    for (const { Key, VersionId, Size, IsLatest, LastModified, isDeleteMarker } of both) {
      const key = decodeName(Key ?? '').slice(this.#requests.prefix.length);
      if (isObjectKey(key)) {
        found.push({
          key,
          versionId: VersionId ?? 'null',
          size: Size ?? 0,
          isLatest: IsLatest === true,
          isDeleteMarker,
          modifiedAtMs: LastModified?.getTime() ?? 0,
        });
      }
    }
    // The sort is stable, which keeps the server's order of versions: times say nothing if a clock
    // was set back.
    return found.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  }
}

/**
 * Returns `undefined` for an S3 error that says that there is no object, no lock or no settings.
 */
async function unlessMissing<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isNotFound(error)) {
      return undefined;
    }
    throw error;
  }
}

/** Returns how many entries a page has, and where the list goes on. */
function versionsPage({
  Versions: versions = [],
  DeleteMarkers: markers = [],
  IsTruncated: isTruncated,
  NextKeyMarker: key,
  NextVersionIdMarker: version = '',
}: ListObjectVersionsCommandOutput): [number, boolean | undefined, string | undefined] {
  const next = isTruncated === true && key !== undefined ? `${key}?${version}` : undefined;
  return [versions.length + markers.length, isTruncated, next];
}

/** Returns the names of a page, sorted: versions and markers stand apart in it. */
function namesIn({ Versions, DeleteMarkers }: ListObjectVersionsCommandOutput): string[] {
  const all = [...(Versions ?? []), ...(DeleteMarkers ?? [])];
  return all.map(({ Key }) => decodeName(Key ?? '')).sort();
}
