import type { ObjectStore } from './object-store.ts';
import type { StoreHealth } from './store-health.ts';

/** Where the objects of a vault are. */
export interface StoreAddress {
  /** A folder, or `s3://bucket/prefix`. */
  readonly location: string;
  /** For S3 servers other than AWS: `https://host:port`. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Profile with the credentials, in the AWS settings of this machine's user. */
  readonly profile?: string | undefined;
  /** Credentials in place of those that the AWS settings give; a profile in them counts first. */
  readonly credentials?: StoreCredentials | undefined;
  /** Only one process writes, so a network file system is good enough. */
  readonly singleWriter: boolean;
}

/** A profile of the AWS settings, which may assume a role; or keys. */
export type StoreCredentials =
  | { readonly profile: string }
  | {
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken?: string;
    };

/** Reaches object stores by their location. */
export abstract class StoreAccess {
  /**
   * Opens the objects at a place; makes nothing. Operations repeat for a while if the store is
   * away.
   * @param meter sees every attempt
   * @throws Fault `store.invalid-location`
   */
  abstract open(
    place: StoreAddress,
    signal: AbortSignal,
    meter?: (store: ObjectStore) => ObjectStore,
  ): Promise<ObjectStore>;

  /**
   * Resolves once the store has answered. Call it before the first real request.
   * @throws Fault within seconds if nothing answers there, or the store refuses
   */
  abstract contact(place: StoreAddress, signal: AbortSignal): Promise<void>;

  /** Tells which stores do not answer now. */
  abstract readonly health: StoreHealth;
}
