import type { ObjectStore } from './object-store.ts';
import type { StoreHealth } from './store-health.ts';

/** Where the objects of a vault are. */
export interface StorePlace {
  /** A folder, or `s3://bucket/prefix`. */
  readonly location: string;
  /** For S3 servers other than AWS: `https://host:port`. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Profile of the AWS settings of this machine's user with the credentials. */
  readonly profile?: string | undefined;
  /** Only one process writes: a network file system will do. */
  readonly singleWriter: boolean;
}

/** Reaches object stores by their location. */
export abstract class ObjectStores {
  /**
   * Opens the objects at a place; nothing is made. Operations repeat for a while when the store is
   * away.
   * @param meter sees every attempt
   * @throws Fault `store.invalid-location`
   */
  abstract open(
    place: StorePlace,
    signal: AbortSignal,
    meter?: (store: ObjectStore) => ObjectStore,
  ): Promise<ObjectStore>;

  /**
   * Returns when the store has answered once; for who is about to ask it for the first time.
   * @throws Fault within seconds when nobody answers there, or refuses
   */
  abstract contact(place: StorePlace, signal: AbortSignal): Promise<void>;

  /** Which of them do not answer now. */
  abstract readonly health: StoreHealth;
}
