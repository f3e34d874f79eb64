import type { ObjectKey, ObjectPart, ObjectRange } from './object-part.ts';

/**
 * A special right overrules `governance`; nothing overrules `compliance` until its time has come.
 */
export type LockMode = 'governance' | 'compliance';

export interface ObjectLock {
  readonly mode: LockMode;
  /** The version cannot be removed before this time, in ms since the Unix epoch. */
  readonly untilMs: number;
}

export interface ObjectVersion {
  readonly key: ObjectKey;
  readonly versionId: string;
  readonly size: number;
  /** True for the version that a plain GET returns. */
  readonly isLatest: boolean;
  /** A removal that keeps the versions below it. */
  readonly isDeleteMarker: boolean;
  readonly modifiedAtMs: number;
}

/**
 * What some buckets offer beyond plain objects. The vault's protocol needs none of it; it serves
 * locks, restoring from first versions, and the store probe. Throws the faults that ObjectStore
 * throws.
 */
export abstract class BucketFeatures {
  /** Yields every version and every delete marker; of each key the newest version first. */
  abstract listVersions(prefix: string, signal: AbortSignal): AsyncIterable<ObjectVersion>;

  abstract getVersion(
    version: { readonly key: ObjectKey; readonly versionId: string },
    range: ObjectRange | undefined,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined>;

  /** Removes one version for good. `bypass` asks to ignore a governance lock. */
  abstract removeVersion(
    version: { readonly key: ObjectKey; readonly versionId: string },
    options: { readonly bypass: boolean },
    signal: AbortSignal,
  ): Promise<void>;

  abstract versioning(signal: AbortSignal): Promise<'enabled' | 'suspended' | 'off'>;

  /** Whether objects in this bucket can be locked at all. */
  abstract lockEnabled(signal: AbortSignal): Promise<boolean>;

  /** Returns the lock of a version, by default the latest one. Undefined if it has none. */
  abstract lockOf(
    object: { readonly key: ObjectKey; readonly versionId?: string },
    signal: AbortSignal,
  ): Promise<ObjectLock | undefined>;

  /** Sets the lock of a version, by default the latest one. */
  abstract setLock(
    object: { readonly key: ObjectKey; readonly versionId?: string },
    lock: ObjectLock,
    signal: AbortSignal,
  ): Promise<void>;

  /** Puts only if there is no object of this key. @returns whether it did */
  abstract putIfAbsent(key: ObjectKey, data: Uint8Array, signal: AbortSignal): Promise<boolean>;

  /** Lists keys in pages of this many, to see what happens at their borders. */
  abstract listInPages(
    prefix: string,
    pageKeys: number,
    signal: AbortSignal,
  ): AsyncIterable<ObjectKey>;

  /** Returns the server's clock, from the header of an answer. */
  abstract serverTimeMs(signal: AbortSignal): Promise<number | undefined>;
}
