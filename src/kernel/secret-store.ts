/**
 * Stores secrets on this host, readable only by the service.
 *
 * An implementation promises: a `put` that resolved is durable; `get` returns exactly what was put,
 * or throws; neither names nor values reach a log.
 */
export abstract class SecretStore {
  /** Stores `secret` under `name` (`[a-z0-9-]`, at most 80), replacing any other. */
  abstract put(name: string, secret: Uint8Array): Promise<void>;

  /**
   * Returns the secret, or `undefined` if there is none.
   * @throws Fault `secret.exposed` if others could read it, `secret.unreadable` if it was changed
   */
  abstract get(name: string): Promise<Uint8Array | undefined>;

  /** Removes a secret. Succeeds if there is none. */
  abstract remove(name: string): Promise<void>;
}
