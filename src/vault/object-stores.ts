import type { ObjectStore } from './object-store.ts';

/** Where the objects of a vault are. */
export interface StorePlace {
  /** A folder, or `s3://bucket/prefix`. */
  readonly location: string;
  /** For S3 servers other than AWS: `https://host:port`. */
  readonly endpoint?: string;
  readonly region?: string;
  /** Only one process writes: a network file system will do. */
  readonly singleWriter: boolean;
}

/** Reaches object stores by their location. */
export abstract class ObjectStores {
  /**
   * Opens the objects at a place; nothing is made. Operations repeat for a while when the store is away.
   * @throws Fault `store.invalid-location`
   */
  abstract open(place: StorePlace, signal: AbortSignal): Promise<ObjectStore>;
}
